"""The Python API behind ``import nas``."""
