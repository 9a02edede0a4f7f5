"""Repair of a damaged journal."""
