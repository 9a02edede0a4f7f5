"""The best network so far, beside the baseline it was measured against."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nas.run.objectives import KNEE

if TYPE_CHECKING:
    from nas.run.objectives import Objectives
    from nas.run.state import SearchState, Trial
    from search_spaces.base import SearchSpace


def is_better(trial: Trial, state: SearchState, max_epochs: int) -> bool:
    """Whether a trial takes the lead: trained to the highest rung, with less error than the leader.

    Of equal errors the cheaper network's leads. Errors of different rungs are not compared: more epochs
    alone would win.
    """
    if trial.error is None or trial.epochs != max_epochs or trial.cached:
        return False
    if state.incumbent is None:
        return True
    leader = state.trials[state.incumbent]
    return leader.error is None or by_error_then_cost(trial) < by_error_then_cost(leader)


def next_leader(
    trial: Trial, state: SearchState, max_epochs: int, objectives: Objectives | None
) -> Trial | None:
    """Who takes the lead now that a trial has ended; None if nobody does.

    Args:
        trial: The one that ended.
        state: The search so far, the trial included.
        max_epochs: The highest rung.
        objectives: What is weighed beside the error, None for nothing. A network beyond a limit never leads;
            with the knee preferred another one than the trial may lead because of it.
    """
    if objectives is None:
        return trial if is_better(trial, state, max_epochs) else None
    if trial.error is None or trial.epochs != max_epochs or trial.cached or trial.repeat:
        return None
    if not objectives.fits(trial):
        return None
    if objectives.prefer == KNEE:
        leader = objectives.winner(objectives.front(state, max_epochs))
        return None if leader is None or leader.trial == state.incumbent else leader
    now = None if state.incumbent is None else state.trials[state.incumbent]
    better = now is None or _place(trial, objectives) < _place(now, objectives)
    return trial if better and (now is None or now.error is not None) else None


def _place(trial: Trial, objectives: Objectives) -> tuple[float, ...]:
    return (*objectives.point(trial), *by_error_then_cost(trial), trial.trial)


def by_error_then_cost(trial: Trial) -> tuple[float, float]:
    """Sorts trials of one rung, the best first: by error, among equals by multiply-accumulates."""
    error = float("inf") if trial.error is None else trial.error
    return error, trial.metrics.get("macs", float("inf"))


def describe(trial: Trial, state: SearchState, space: SearchSpace) -> dict[str, Any]:
    """What ``incumbent.json`` holds: the configuration, its figures, and the baseline's at equal epochs."""
    baseline = state.baseline(trial.epochs)
    return {
        "space": space.name,
        "trial": trial.trial,
        "config_id": trial.config_id,
        "config": trial.config,
        "epochs": trial.epochs,
        "error": trial.error,
        "metrics": trial.metrics,
        "found_after_seconds": round(trial.clock_ended, 3),
        "baseline": None
        if baseline is None
        else {"trial": baseline.trial, "error": baseline.error, "metrics": baseline.metrics},
        "changes_from_baseline": [
            {"hyperparameter": name, "baseline": before, "incumbent": after}
            for name, before, after in space.changes(trial.config)
        ],
    }
