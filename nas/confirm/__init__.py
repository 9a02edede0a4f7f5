"""Confirmation: the best configurations trained again with fresh seeds."""
