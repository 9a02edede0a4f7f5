"""Displays of a search or a confirmation: panel, lines, log, summary."""
