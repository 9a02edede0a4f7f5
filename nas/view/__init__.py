"""How the record of a search or a confirmation is shown: panel, lines, log, summary."""
