"""The best network so far, beside the baseline it was measured against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.util import records
from search_spaces.base import Config, Value

if TYPE_CHECKING:
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
        error: ``1 - validation top-1``.
        metrics: Everything measured.
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
    metrics: dict[str, float]
    found_after_seconds: float
    baseline: Baseline | None
    changes_from_baseline: list[Difference]


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


def by_error_then_cost(trial: Trial) -> tuple[float, float]:
    """Sorts trials of one rung, the best first: by error, among equals by multiply-accumulates."""
    error = float("inf") if trial.error is None else trial.error
    return error, trial.metrics.get("macs", float("inf"))


def describe(trial: Trial, state: SearchState, space: SearchSpace) -> IncumbentFile:
    """The leader with its figures, and the baseline's at equal epochs."""
    baseline = state.baseline(trial.epochs)
    return IncumbentFile(
        space=space.name,
        trial=trial.trial,
        config_id=trial.config_id,
        config=trial.config,
        epochs=trial.epochs,
        error=trial.error,
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
