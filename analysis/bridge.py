"""The old name of :mod:`analysis.deepcave.bridge`, for notebooks that hold it."""

from analysis.deepcave.bridge import evaluate

__all__ = ["evaluate"]
