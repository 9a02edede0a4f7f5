"""The old name of :mod:`analysis.importance.figures`, for notebooks that hold it."""

from analysis.importance.figures import ablation, all_figures, bars, marginals, pairs

__all__ = ["ablation", "all_figures", "bars", "marginals", "pairs"]
