"""Training of one network for a budget of epochs."""
