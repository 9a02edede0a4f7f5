"""Which choices matter."""

from analysis.importance.by_budget import Importances, ImportanceSettings, importances

Settings = ImportanceSettings  # the name that notebooks of 0.1 hold

__all__ = ["ImportanceSettings", "Importances", "Settings", "importances"]
