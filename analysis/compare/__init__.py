"""Runs side by side."""

from analysis.compare.comparison import Comparison, compare

__all__ = ["Comparison", "compare"]
