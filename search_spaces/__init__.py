"""Registry of base architectures that can be searched."""
