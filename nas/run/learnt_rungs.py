"""Whether results decide at which rung configurations begin, as run folders hold it."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from nas.run import rungs
from nas.util import records

if TYPE_CHECKING:
    from nas.run.search_file import SearchFile
    from nas.run.state import SearchState

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


def decide(search: SearchFile) -> bool:
    """Whether results decide at which rung the configurations of a run begin: if there is a model, too."""
    smac = records.write(search.settings).get("smac", {})
    later = search.objectives is not None or smac.get("brackets") == "hyperband"
    learnt = from_record(smac.get("rungs", ALL), later=later) == LEARNT
    modelled = search.settings.choice.optimizer == "smac" and smac.get("random_probability", 1) < 1
    epochs = search.rungs  # a file that was tampered with may hold any
    rising = len(epochs) > 1 and epochs[0] > 0 and all(2 * low <= high for low, high in pairwise(epochs))
    return learnt and modelled and rising


def misleading(state: SearchState, search: SearchFile) -> str:
    """Describes what low rungs tell and where configurations begin because of it; "" if none is left out."""
    if not decide(search):
        return ""
    found = rungs.judged(state, search.rungs)
    return found.summary() if found.first else ""
