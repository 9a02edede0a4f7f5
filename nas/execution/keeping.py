"""Whose trained weights a run keeps: the leader's, the baseline's and the next best's at the highest rung."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.run.incumbent import by_error_then_cost
from nas.trial.weights import file_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nas.run.objectives import Objectives
    from nas.run.state import SearchState, Trial
    from nas.trial.weights import WeightStore

BEST = 3  # as many as nas.confirm compares unless told otherwise


def tidy(
    store: WeightStore, state: SearchState, max_epochs: int, objectives: Objectives | None = None
) -> None:
    """Removes the weights of networks that are no longer among the best.

    What the state does not know stays: the trial that trains it has not ended, or a journal that was cut
    will ask for it again.

    Args:
        store: Where the weights are.
        state: The search so far.
        max_epochs: The highest rung, whose networks alone keep weights.
        objectives: What is weighed beside the error: the front's networks then keep theirs.
    """
    best, lost = sorted_out(state, max_epochs, objectives)
    store.prune([file_name(key, max_epochs) for key in lost], [file_name(key, max_epochs) for key in best])


def sorted_out(
    state: SearchState, max_epochs: int, objectives: Objectives | None = None
) -> tuple[list[str], list[str]]:
    """Configurations that keep their weights, the most important first, and those that do not."""
    ended = [trial for trial in state.trials.values() if trial.epochs == max_epochs and trial.finished]
    ranked = sorted(
        (trial for trial in ended if trial.error is not None and not trial.cached),
        key=lambda trial: (*by_error_then_cost(trial), trial.trial),
    )
    if objectives is None:
        ids = list(dict.fromkeys(trial.config_id for trial in ranked))[:BEST]
    else:
        first = _front_first(ranked, state, max_epochs, objectives)
        ids = list(dict.fromkeys(trial.config_id for trial in first))
    baseline = state.baseline(max_epochs)
    wanted = ids[:1] if baseline is None else [*ids[:1], baseline.config_id]
    best = list(dict.fromkeys([*wanted, *ids]))
    running = {trial.config_id for trial in state.open_trials()}
    lost = {trial.config_id for trial in ended} - set(best) - running
    return best, sorted(lost)


def _front_first(
    ranked: Sequence[Trial], state: SearchState, max_epochs: int, objectives: Objectives
) -> list[Trial]:
    """The leader, the front's others, then the most accurate within the limits."""
    leader = [] if state.incumbent is None else [state.trials[state.incumbent]]
    fitting = [trial for trial in ranked if objectives.fits(trial)]
    return [*leader, *objectives.front(state, max_epochs), *fitting[:BEST]]
