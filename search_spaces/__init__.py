"""Base architectures that can be searched."""

from search_spaces.registry import get, names, register

__all__ = ["get", "names", "register"]
