"""Searching from Python: what ``import nas`` offers."""
