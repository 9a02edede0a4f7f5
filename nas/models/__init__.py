"""The old name of :mod:`search_spaces.nexception`, for model cards and notebooks that hold it."""

from search_spaces.nexception import build

__all__ = ["build"]
