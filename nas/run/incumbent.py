"""The best network so far, and the baseline that it is compared with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

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
    """The base architecture's trial with as many epochs as the incumbent's."""

    trial: int
    error: float | None
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference(records.Document):
    """A choice that differs from the base architecture; None where it is inactive."""

    hyperparameter: str
    baseline: Value | None
    incumbent: Value | None


@dataclass(frozen=True, slots=True, kw_only=True)
class IncumbentFile(records.Document):
    """The content of ``incumbent.json``.

    Attributes:
        space: Name of the search space.
        trial: Number of its trial.
        config_id: Hash of the configuration.
        config: The configuration.
        epochs: Number of epochs it was trained for.
        error: ``1 - validation top-1``; the expected value over all seeds once there are further ones.
        metrics: Everything measured.
        seeds: Number of seeds it was trained with; None before any configuration has further seeds.
        interval: 95 % interval of its error over all seeds, None if ``seeds`` is None.
        found_after_seconds: Seconds of the time budget used at the trial's end.
        baseline: The base architecture's trial, None if it has no result after as many epochs.
        changes_from_baseline: Differences between the two.
    """

    file_name: ClassVar[str] = "incumbent.json"

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
class IncumbentEstimate:
    """The incumbent and the estimate of its error.

    Attributes:
        trial: The configuration's first trial.
        error: Its error; once there are any repeats, the expected error over all seeds.
        seeds: Number of seeds it was trained with.
        interval: 95 % interval of its error over all seeds, None before there are any repeats.
    """

    trial: Trial
    error: float
    seeds: int = 1
    interval: tuple[float, float] | None = None


def leader(
    state: SearchState, max_epochs: int, objectives: Objectives | None = None
) -> IncumbentEstimate | None:
    """Returns the best configuration of the highest rung, None if there is none; see :func:`ranked`.

    Args:
        state: The search.
        max_epochs: The highest rung.
        objectives: Objectives and limits besides the error, None for none. A network beyond a limit never
            leads; if the knee is preferred, the front's knee leads.
    """
    if objectives is not None:
        return _within(state, max_epochs, objectives)
    rung = state.rung(max_epochs)
    if rung.repeats:
        return next(iter(ranked(state, max_epochs)), None)
    best = min(rung.own, key=by_error_then_cost, default=None)
    return None if best is None or best.error is None else IncumbentEstimate(best, best.error)


def _within(state: SearchState, max_epochs: int, objectives: Objectives) -> IncumbentEstimate | None:
    found = ranked(state, max_epochs, objectives)
    if objectives.prefer == KNEE:
        best = objectives.winner(objectives.front(state, max_epochs))
        number = 0 if best is None else best.trial
        found = [lead for lead in found if lead.trial.trial == number]
    return next(iter(found), None)


def ranked(
    state: SearchState, max_epochs: int, objectives: Objectives | None = None
) -> list[IncumbentEstimate]:
    """Ranks the configurations of the highest rung, the best first.

    The order is by error, or once any has further seeds by the expected error over all seeds; configurations
    with a crashed seed come last. Among equals the cheaper network comes first, then the earlier trial.
    Errors of different rungs are not compared, since more epochs alone would win.

    Args:
        state: The search.
        max_epochs: The highest rung.
        objectives: Objectives and limits besides the error; configurations beyond a limit are left out.
    """
    known = posterior(state, max_epochs)
    found = [
        (
            one.crashed,
            IncumbentEstimate(one.trial, one.mean, len(one.errors), one.interval)
            if known.repeated
            else IncumbentEstimate(one.trial, one.errors[0]),
        )
        for one in known.estimates
        if objectives is None or objectives.fits(one.trial)
    ]
    found.sort(key=lambda one: (one[0], one[1].error, one[1].trial.metrics.get("macs", float("inf"))))
    return [lead for _, lead in found]


def by_error_then_cost(trial: Trial) -> tuple[float, float]:
    """Sort key for trials of one rung, the best first: error, then multiply-accumulates."""
    error = float("inf") if trial.error is None else trial.error
    return error, trial.metrics.get("macs", float("inf"))


def describe(lead: IncumbentEstimate, state: SearchState, space: SearchSpace) -> IncumbentFile:
    """Describes the leader with its figures and those of the baseline after as many epochs."""
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
