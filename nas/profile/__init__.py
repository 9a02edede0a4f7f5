"""Costs of networks, measured side by side: size, memory, time."""
