"""Which choices matter."""

from analysis.importance.by_budget import Importances, Settings, importances

__all__ = ["Importances", "Settings", "importances"]
