"""Whether results decide at which rung configurations begin, as run folders hold it."""

from __future__ import annotations

LEARNT, ALL = "learnt", "all"
_EVERYWHERE = "learnt everywhere"  # written where "learnt" stands for what earlier versions did: all rungs


def to_record(setting: str, *, later: bool) -> str:
    """Returns the setting of rungs as run folders hold it.

    Args:
        setting: Whether results decide where configurations begin, ``learnt`` or ``all``.
        later: Whether the search has costs, limits or Hyperband's brackets, with which earlier versions took
            all rungs, though they recorded ``learnt``.
    """
    return _EVERYWHERE if later and setting == LEARNT else setting


def from_record(recorded: str, *, later: bool) -> str:
    """Inverts :func:`to_record`, so that a run of an earlier version goes on as it began."""
    if recorded == _EVERYWHERE:
        return LEARNT
    return ALL if later and recorded == LEARNT else recorded
