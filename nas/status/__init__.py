"""How far a search has come."""
