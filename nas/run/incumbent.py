"""The best network so far, beside the baseline it was measured against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.run.objectives import KNEE
from nas.run.posterior import posterior
from nas.util import records
from search_spaces.base import Config, Value

if TYPE_CHECKING:
    from nas.run.objectives import Objectives
    from nas.run.state import SearchState, Trial
    from search_spaces.base import SearchSpace


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline(records.Document):
    """The base architecture's trial of as many epochs as the incumbent's."""

    trial: int
    error: float | None
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference(records.Document):
    """What was chosen otherwise than in the base architecture; None where it is inactive."""

    hyperparameter: str
    baseline: Value | None
    incumbent: Value | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IncumbentFile(records.Document):
    """What ``incumbent.json`` holds.

    Attributes:
        space: The search space's name.
        trial: Its trial.
        config_id: Hash of the configuration.
        config: The configuration.
        epochs: What it was trained for.
        error: ``1 - validation top-1``, as it is expected over all seeds once there are further ones.
        metrics: Everything measured.
        seeds: With how many it was trained, None before any configuration was trained with a further one.
        interval: Where its error over all seeds lies with a probability of 95 %, None where ``seeds`` is.
        found_after_seconds: Clock seconds at the trial's end.
        baseline: The base architecture's, None if it has no result at these epochs.
        changes_from_baseline: Where the two differ.
    """

    space: str
    trial: int
    config_id: str
    config: Config
    epochs: int
    error: float | None
    seeds: int | None = None
    interval: list[float] | None = None
    metrics: dict[str, float]
    found_after_seconds: float
    baseline: Baseline | None
    changes_from_baseline: list[Difference]


@dataclass(frozen=True)
class Lead:
    """The incumbent, and what is known of it.

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


def leader(state: SearchState, max_epochs: int, objectives: Objectives | None = None) -> Lead | None:
    """The best configuration of the highest rung, None if there is none: see :func:`ranked`.

    Args:
        state: The search.
        max_epochs: The highest rung.
        objectives: What is weighed beside the error, None for nothing. A network beyond a limit never leads;
            with the knee preferred, the front's leads.
    """
    if objectives is not None:
        return _within(state, max_epochs, objectives)
    if state.repeats(max_epochs):
        return next(iter(ranked(state, max_epochs)), None)
    ended = [t for t in state.trials.values() if t.epochs == max_epochs and not (t.repeat or t.cached)]
    best = min((t for t in ended if t.error is not None), key=by_error_then_cost, default=None)
    return None if best is None or best.error is None else Lead(best, best.error)


def _within(state: SearchState, max_epochs: int, objectives: Objectives) -> Lead | None:
    found = ranked(state, max_epochs, objectives)
    if objectives.prefer == KNEE:
        best = objectives.winner(objectives.front(state, max_epochs))
        number = 0 if best is None else best.trial
        found = [lead for lead in found if lead.trial.trial == number]
    return next(iter(found), None)


def ranked(state: SearchState, max_epochs: int, objectives: Objectives | None = None) -> list[Lead]:
    """The configurations of the highest rung, the best first.

    That is by error, or once any was trained with further seeds by the expected error over all seeds; those
    of which a seed crashed come last. Of equals the cheaper network comes first, then the older trial. Errors
    of different rungs are not compared: more epochs alone would win.

    Args:
        state: The search.
        max_epochs: The highest rung.
        objectives: What is weighed beside the error: then only those within the limits.
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
        if objectives is None or objectives.fits(one.trial)
    ]
    found.sort(key=lambda one: (one[0], one[1].error, one[1].trial.metrics.get("macs", float("inf"))))
    return [lead for _, lead in found]


def by_error_then_cost(trial: Trial) -> tuple[float, float]:
    """Sorts trials of one rung, the best first: by error, among equals by multiply-accumulates."""
    error = float("inf") if trial.error is None else trial.error
    return error, trial.metrics.get("macs", float("inf"))


def describe(lead: Lead, state: SearchState, space: SearchSpace) -> IncumbentFile:
    """The leader with its figures, and the baseline's at equal epochs."""
    trial = lead.trial
    baseline = state.baseline(trial.epochs)
    return IncumbentFile(
        space=space.name,
        trial=trial.trial,
        config_id=trial.config_id,
        config=trial.config,
        epochs=trial.epochs,
        error=lead.error,
        seeds=None if lead.interval is None else lead.seeds,
        interval=None if lead.interval is None else list(lead.interval),
        metrics=trial.metrics,
        found_after_seconds=round(trial.clock_ended, 3),
        baseline=None
        if baseline is None
        else Baseline(trial=baseline.trial, error=baseline.error, metrics=baseline.metrics),
        changes_from_baseline=[
            Difference(hyperparameter=name, baseline=before, incumbent=after)
            for name, before, after in space.changes(trial.config)
        ],
    )
