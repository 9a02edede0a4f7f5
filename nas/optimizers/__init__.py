"""Optimisers behind one ask/tell protocol."""

from nas.optimizers.registry import create, names

__all__ = ["create", "names"]
