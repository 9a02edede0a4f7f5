"""Optimisers behind one ask/tell protocol."""
