"""Trials and networks of a run in the Python API."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nas.run.objectives import costs_of
from search_spaces.hyperparameters import differences

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nas.run.state import SearchState
    from nas.run.state import Trial as Journaled
    from search_spaces.base import Config, Value


@dataclass(frozen=True)
class Trial:
    """One training of one configuration.

    Attributes:
        trial: Number of the trial, counted from 1 in the order asked.
        config: The configuration.
        config_id: Hash of the configuration.
        epochs: Total number of epochs to train, including those of lower rungs.
        origin: What proposed it; ``baseline`` for the base architecture.
        status: ``asked``, ``running``, ``success`` or ``crashed``.
        error: ``1 - top1``; None unless it succeeded.
        top1: Share of validation images classified correctly; None unless it succeeded.
        metrics: Everything measured: ``top5``, ``val_loss``, ``params``, ``macs``, ``train_seconds``, ...
        seconds: Time from its last start to its end.
        reason: Why it crashed, "" if it did not.
        curve: Metrics after each epoch, by epoch.
        repeat: Number of the repeat of its configuration with a fresh seed, counted from 1; 0 for the first
            training.
    """

    trial: int
    config: Config
    config_id: str
    epochs: int
    origin: str
    status: str
    error: float | None
    top1: float | None
    metrics: Mapping[str, float] = field(repr=False)
    seconds: float
    reason: str
    curve: Mapping[int, Mapping[str, float]] = field(repr=False)
    repeat: int = 0

    @classmethod
    def of(cls, trial: Journaled) -> Trial:
        """Converts a trial of the journal."""
        return cls(
            trial=trial.trial,
            config=dict(trial.config),
            config_id=trial.config_id,
            epochs=trial.epochs,
            origin=trial.origin,
            status=trial.status,
            error=trial.error,
            top1=None if trial.error is None else _top1(trial),
            metrics=dict(trial.metrics),
            seconds=trial.seconds,
            reason=trial.reason,
            curve=dict(trial.curve),
            repeat=trial.repeat,
        )


@dataclass(frozen=True)
class FrontMember:
    """A network of the Pareto front of error and costs.

    Attributes:
        trial: Number of its trial.
        config: The configuration.
        config_id: Hash of the configuration.
        error: ``1 - top1``.
        top1: Share of validation images classified correctly.
        costs: Its costs by name: ``macs``, ``params``, ``latency`` (milliseconds), ``memory`` (bytes),
            ``epoch_seconds``, or the space's own.
        metrics: Everything measured.
    """

    trial: int
    config: Config
    config_id: str
    error: float
    top1: float
    costs: Mapping[str, float]
    metrics: Mapping[str, float] = field(repr=False)

    @classmethod
    def of(cls, trial: Journaled) -> FrontMember:
        """Converts a trial of the journal."""
        return cls(
            trial=trial.trial,
            config=dict(trial.config),
            config_id=trial.config_id,
            error=1.0 if trial.error is None else trial.error,
            top1=_top1(trial),
            costs=costs_of(trial),
            metrics=dict(trial.metrics),
        )


@dataclass(frozen=True)
class Incumbent:
    """The best network so far: the one with the lowest error at the highest rung.

    Attributes:
        trial: Number of its trial.
        config: The configuration.
        config_id: Hash of the configuration.
        epochs: Number of epochs it was trained for.
        error: ``1 - top1``.
        top1: Share of validation images classified correctly; once the search has trained any configuration
            with further seeds, the expected share over all seeds. Before that it is the best of many and so a
            little too high: :meth:`nas.Run.confirm` measures by how much.
        baseline_top1: Top-1 of the base architecture after as many epochs; None if that crashed.
        changes: Choices that differ from the base architecture: its value, and this network's.
        metrics: Everything measured: ``params``, ``macs``, ``top5``, ...
        seeds: Number of seeds it was trained with.
        interval: 95 % interval of its top-1 over all seeds; None before any configuration has a second seed.
    """

    trial: int
    config: Config
    config_id: str
    epochs: int
    error: float
    top1: float
    baseline_top1: float | None
    changes: Mapping[str, tuple[Value | None, Value | None]]
    metrics: Mapping[str, float] = field(repr=False)
    seeds: int = 1
    interval: tuple[float, float] | None = None

    @classmethod
    def of(cls, trial: Journaled, state: SearchState, default: Config) -> Incumbent:
        """Converts the incumbent of a search.

        Args:
            trial: The incumbent.
            state: State of the search.
            default: The base architecture.
        """
        baseline = state.baseline(trial.epochs)
        error, seeds, interval = state.estimate
        error = 1.0 if error is None else error
        config = dict(trial.config)
        return cls(
            trial=trial.trial,
            config=config,
            config_id=trial.config_id,
            epochs=trial.epochs,
            error=error,
            top1=_top1(trial) if interval is None else 1 - error,
            baseline_top1=None if baseline is None else _top1(baseline),
            changes={name: (before, after) for name, before, after in differences(config, default)},
            metrics=dict(trial.metrics),
            seeds=seeds,
            interval=None if interval is None else (1 - interval[1], 1 - interval[0]),
        )


def _top1(trial: Journaled) -> float:
    return trial.metrics.get("top1", 1 - (1.0 if trial.error is None else trial.error))
