"""Vision transformers: DeiT-S and what later papers changed about it."""
