"""Training at full size: one network and recipe, any number of seeds and GPUs."""
