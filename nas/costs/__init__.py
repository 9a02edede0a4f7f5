"""Costs besides the error: their settings, how they are counted before training, what fits."""
