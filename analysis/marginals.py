"""The old name of :mod:`analysis.importance.marginals`, for notebooks that hold it."""

from analysis.importance.marginals import all_equal, crash_reasons, crashes, enough, marginals, one_sided

__all__ = ["all_equal", "crash_gists", "crash_reasons", "crashes", "enough", "marginals", "one_sided"]

crash_gists = crash_reasons
