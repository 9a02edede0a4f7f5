"""The baseline: the space's default, trained at every rung, which all others are measured against."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.optimizers.protocol import Suggestion
from nas.run.causes import from_outside
from nas.run.state import BASELINE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nas.run.state import SearchState, Trial
    from search_spaces.base import SearchSpace

_TRIES = 2  # at a rung in one session, if what ends it comes from outside


def due(state: SearchState, space: SearchSpace, rungs: Sequence[int], earlier: int) -> Suggestion | None:
    """The space's default at the next rung where it has not been queued yet.

    Args:
        state: The search.
        space: What is searched.
        rungs: Epochs, rising.
        earlier: Number of trials that earlier sessions asked for.
    """
    for epochs in rungs:
        last = state.trials.get(state.baselines.get(epochs, 0))
        if last is None or (last.status == "crashed" and _is_worth_another_try(state, last, earlier)):
            return Suggestion(space.default, epochs, BASELINE)
        if last.status == "crashed":
            return None
    return None


def _is_worth_another_try(state: SearchState, last: Trial, earlier: int) -> bool:
    """Whether it crashed for an external reason, and not repeatedly."""
    if not from_outside(last.reason):
        return False
    lost = [state.trials[number] for number in state.crashed if number > earlier]
    return sum(trial.origin == BASELINE and trial.epochs == last.epochs for trial in lost) < _TRIES
