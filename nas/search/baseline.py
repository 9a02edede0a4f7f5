"""The baseline: the space's default, trained at every rung as the reference for all others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.optimizers.protocol import Suggestion
from nas.run.causes import from_outside
from nas.run.state import BASELINE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nas.run.state import SearchState, Trial
    from search_spaces.base import SearchSpace

_TRIES = 2  # per rung and session, if its crashes have external causes


def due(state: SearchState, space: SearchSpace, rungs: Sequence[int], earlier: int) -> Suggestion | None:
    """Returns the space's default at the next rung where it has not been queued yet.

    Args:
        state: The search.
        space: The search space.
        rungs: Epochs of the rungs, ascending.
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
    """Whether it crashed by an external cause, and not repeatedly."""
    if not from_outside(last.reason):
        return False
    lost = [state.trials[number] for number in state.crashed if number > earlier]
    return sum(trial.origin == BASELINE and trial.epochs == last.epochs for trial in lost) < _TRIES
