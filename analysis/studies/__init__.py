"""Runs as studies of Optuna, for its dashboard and for those who have a storage of their own."""
