"""One page about a run."""

from analysis.report.page import report

__all__ = ["report"]
