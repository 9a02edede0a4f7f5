"""Costs besides the error: their settings, counting before training, and what limits leave."""
