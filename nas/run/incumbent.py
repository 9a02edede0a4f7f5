"""The best network so far, beside the baseline it was measured against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nas.run.posterior import posterior

if TYPE_CHECKING:
    from nas.run.state import SearchState, Trial
    from search_spaces.base import SearchSpace


@dataclass(frozen=True)
class Lead:
    """Who leads, and by what is known of it.

    Attributes:
        trial: The configuration's own training.
        error: Its error; once any was repeated, what is expected over all seeds.
        seeds: With how many it was trained.
        interval: Where its error over all seeds lies with a probability of 95 %, None before there are any
            repeats.
    """

    trial: Trial
    error: float
    seeds: int = 1
    interval: tuple[float, float] | None = None


def leader(state: SearchState, max_epochs: int) -> Lead | None:
    """The best configuration of the highest rung, None if there is none: see :func:`ranked`."""
    if state.repeats(max_epochs):
        return next(iter(ranked(state, max_epochs)), None)
    ended = [t for t in state.trials.values() if t.epochs == max_epochs and not (t.repeat or t.cached)]
    best = min((t for t in ended if t.error is not None), key=by_error_then_cost, default=None)
    return None if best is None or best.error is None else Lead(best, best.error)


def ranked(state: SearchState, max_epochs: int) -> list[Lead]:
    """The configurations of the highest rung, the best first.

    That is by error, or once any was trained with further seeds by the expected error over all seeds; those
    of which a seed crashed come last. Of equals the cheaper network comes first, then the older trial. Errors
    of different rungs are not compared: more epochs alone would win.
    """
    known = posterior(state, max_epochs)
    found = [
        (
            one.crashed,
            Lead(one.trial, one.mean, len(one.errors), one.interval)
            if known.repeated
            else Lead(one.trial, one.errors[0]),
        )
        for one in known.beliefs
    ]
    found.sort(key=lambda one: (one[0], one[1].error, one[1].trial.metrics.get("macs", float("inf"))))
    return [lead for _, lead in found]


def by_error_then_cost(trial: Trial) -> tuple[float, float]:
    """Sorts trials of one rung, the best first: by error, among equals by multiply-accumulates."""
    error = float("inf") if trial.error is None else trial.error
    return error, trial.metrics.get("macs", float("inf"))


def describe(lead: Lead, state: SearchState, space: SearchSpace) -> dict[str, Any]:
    """What ``incumbent.json`` holds: the configuration, its figures, and the baseline's at equal epochs."""
    trial = lead.trial
    baseline = state.baseline(trial.epochs)
    return {
        "space": space.name,
        "trial": trial.trial,
        "config_id": trial.config_id,
        "config": trial.config,
        "epochs": trial.epochs,
        "error": lead.error,
        **({} if lead.interval is None else {"seeds": lead.seeds, "interval": list(lead.interval)}),
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
