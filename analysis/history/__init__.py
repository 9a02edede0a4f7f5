"""A run's history for other tools."""
