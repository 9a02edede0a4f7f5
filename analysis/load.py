"""The old name of :mod:`analysis.frames`, for notebooks that hold it."""

from analysis.frames import Run, load

__all__ = ["Run", "load"]
