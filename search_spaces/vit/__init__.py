"""Vision transformers: DeiT-S and the choices later papers made otherwise."""
