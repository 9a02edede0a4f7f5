"""How a search stands."""
