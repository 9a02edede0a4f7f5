"""The report's interactive charts."""
