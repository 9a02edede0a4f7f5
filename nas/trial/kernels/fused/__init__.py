"""Layers between convolutions in as few passes over memory as they need."""
