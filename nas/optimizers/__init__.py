"""Optimisers behind one ask/tell protocol."""

from nas.optimizers.registry import check, create, names

__all__ = ["check", "create", "names"]
