"""The best configurations trained again with fresh seeds: was it the network, or luck?"""
