"""Costs beside the error: what a user says of them, how they are counted before training, what fits."""
