"""Training at full size: one network, one recipe, any number of seeds and GPUs."""
