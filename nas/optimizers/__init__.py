"""Optimisers behind one ask/tell protocol."""

from nas.optimizers.registry import all_rungs, check, create, names

__all__ = ["all_rungs", "check", "create", "names"]
