"""``front.json``: the Pareto front of error and costs within the limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from nas.run.objectives import ERROR, costs_of, hypervolume, knee
from nas.util.records import Record

if TYPE_CHECKING:
    from nas.run.objectives import Objectives
    from nas.run.state import SearchState, Trial
    from search_spaces.base import SearchSpace


@dataclass(frozen=True, slots=True)
class Member(Record):
    """One network of the front.

    Attributes:
        trial: Number of its trial.
        config_id: Hash of its configuration.
        config: The configuration.
        error: ``1 - validation top-1``.
        costs: Its costs by name.
        metrics: Everything measured.
        changes_from_baseline: Its differences from the space's default.
    """

    trial: int
    config_id: str
    config: dict[str, Any]
    error: float
    costs: dict[str, float]
    metrics: dict[str, float]
    changes_from_baseline: list[Any]


@dataclass(frozen=True, slots=True)
class FrontFile(Record):
    """The content of ``front.json``.

    Attributes:
        space: Name of the search space.
        objectives: ``error`` and the costs that are minimised.
        limits: Upper limits of costs.
        network: Name of the network whose costs count.
        epochs: Number of epochs of all members.
        members: Members in ascending order of cost, hence of descending error where one cost is minimised.
        leader: Trial of the member preferred by the search's settings, None for an empty front.
        knee: Trial of the best compromise, None for an empty front.
        hypervolume: Share of the box up to ``reference`` that the front dominates; None before the baseline
            is trained.
        reference: Far corner of that box, in the order of ``objectives``; None if ``hypervolume`` is None.
        baseline: Trial, error and costs of the space's default, None before it is trained.
    """

    file_name: ClassVar[str] = "front.json"

    space: str
    objectives: list[str]
    limits: dict[str, float]
    network: str
    epochs: int
    members: list[Member]
    leader: int | None
    knee: int | None
    hypervolume: float | None
    reference: list[float] | None
    baseline: dict[str, Any] | None = field(default=None)


def describe(objectives: Objectives, state: SearchState, space: SearchSpace, epochs: int) -> FrontFile:
    """Returns the present content of ``front.json``."""
    members = objectives.front(state, epochs)
    leader = objectives.winner(members)
    reference = objectives.reference(state, epochs)
    baseline = state.baseline(epochs)
    volume = None
    if reference is not None:
        volume = hypervolume([objectives.point(trial) for trial in members], reference)
    return FrontFile(
        space=space.name,
        objectives=list(objectives.axes),
        limits=dict(objectives.limits),
        network=objectives.network,
        epochs=epochs,
        members=[_member(trial, space) for trial in members],
        leader=None if leader is None else leader.trial,
        knee=knee(members, objectives).trial if members else None,
        hypervolume=volume,
        reference=None if reference is None else list(reference),
        baseline=None
        if baseline is None
        else {"trial": baseline.trial, ERROR: baseline.error, "costs": costs_of(baseline)},
    )


def _member(trial: Trial, space: SearchSpace) -> Member:
    assert trial.error is not None
    return Member(
        trial=trial.trial,
        config_id=trial.config_id,
        config=trial.config,
        error=trial.error,
        costs=costs_of(trial),
        metrics=trial.metrics,
        changes_from_baseline=[
            {"hyperparameter": name, "baseline": before, "member": after}
            for name, before, after in space.changes(trial.config)
        ],
    )
