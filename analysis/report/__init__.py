"""The report of a run: one HTML page."""

from analysis.report.page import report

__all__ = ["report"]
