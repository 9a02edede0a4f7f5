"""Training of one network for a number of epochs."""
