"""The objectives of a run besides the error: costs, limits, and the Pareto front."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from nas.run.posterior import posterior
from nas.run.search_file import CostObjectives
from nas.util.quantities import format_count, format_duration, format_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nas.run.search_file import SearchFile
    from nas.run.state import SearchState, Trial

ERROR, KNEE = "error", "knee"
COST = "cost_"  # before a cost's name among a trial's metrics
LATENCY, MEMORY, EPOCH_SECONDS = "latency", "memory", "epoch_seconds"
COUNTED, MEASURED = ("macs", "params"), (LATENCY, MEMORY, EPOCH_SECONDS)
_BOX = 4.0  # times the baseline's cost: the far corner of the box for the hypervolume


@dataclass(frozen=True)
class Objectives:
    """The objectives and limits of a search besides the error.

    Attributes:
        costs: Names of the costs to minimise.
        limits: Upper limits of costs by name, also of costs that are not minimised.
        prefer: Which network of the front is the incumbent: ``error``, the most accurate one, or ``knee``.
        network: The network whose costs count: a full size of the space, or ``reduced``.
    """

    costs: tuple[str, ...]
    limits: Mapping[str, float] = field(default_factory=dict)
    prefer: str = ERROR
    network: str = "reduced"

    @classmethod
    def of(cls, search: SearchFile) -> Objectives | None:
        """Returns those of a run from its ``search.json``; None if it minimises the error alone."""
        found = search.objectives
        if found is None:
            return None
        return cls(tuple(found.costs), found.limits, found.prefer, found.network)

    def recorded(self) -> CostObjectives:
        """For ``search.json``."""
        return CostObjectives(
            costs=list(self.costs), limits=dict(self.limits), prefer=self.prefer, network=self.network
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all costs that are minimised or limited."""
        return tuple(dict.fromkeys([*self.costs, *self.limits]))

    @property
    def axes(self) -> tuple[str, ...]:
        """Objectives of the front: the error and the costs to minimise."""
        return (ERROR, *self.costs)

    def fits(self, trial: Trial) -> bool:
        """Whether a trained network is within all limits; one with an unknown cost is not."""
        return all(self.fits_in(trial, name) for name in self.limits)

    def fits_in(self, trial: Trial, name: str) -> bool:
        """Whether a trained network is within one of the limits."""
        return cost(trial, name) <= self.limits[name]

    def front(self, state: SearchState, epochs: int) -> list[Trial]:
        """Returns the Pareto front of one rung within the limits, in ascending order of cost.

        Without a cost to minimise it is the most accurate network. Once any was trained with a further seed,
        their errors are those expected over all seeds, and one of which a seed crashed is left out.
        """
        fitting = [trial for trial in self._judged(state, epochs) if self.fits(trial)]
        order = {trial.trial: self.point(trial) for trial in fitting}
        fitting.sort(key=lambda trial: (*order[trial.trial], trial.trial))
        kept: list[Trial] = []
        for trial in fitting:  # sorted by error first: no later trial dominates an earlier one
            point = order[trial.trial]
            if all(map(math.isfinite, point)) and not any(
                all(a <= b for a, b in zip(order[one.trial], point, strict=True)) for one in kept
            ):
                kept.append(trial)
        return kept[::-1]

    def _judged(self, state: SearchState, epochs: int) -> list[Trial]:
        """Networks of one rung, each once, with what is known of their errors."""
        rung = state.rung(epochs)
        if not rung.repeats:
            return rung.own
        known = posterior(state, epochs)
        if not known.repeated:
            return [one.trial for one in known.estimates]
        return [replace(one.trial, error=one.mean) for one in known.estimates if not one.crashed]

    def point(self, trial: Trial) -> tuple[float, ...]:
        """Returns a trained network's error and costs."""
        error = math.inf if trial.error is None else trial.error
        return (error, *(cost(trial, name) for name in self.costs))

    def winner(self, front: Sequence[Trial]) -> Trial | None:
        """Returns the front's network preferred by ``prefer``; None if the front is empty."""
        if not front:
            return None
        return knee(front, self) if self.prefer == KNEE else self.best(front)

    def best(self, trials: Iterable[Trial]) -> Trial:
        """Returns the most accurate trial; of equals the one that costs least, or came first."""
        return min(trials, key=lambda trial: (*self.point(trial), trial.trial))

    def reference(self, state: SearchState, epochs: int) -> tuple[float, ...] | None:
        """Returns the box's far corner: error 1, and each cost's limit or else 4 times the baseline's cost.

        None before the baseline is trained to the highest rung.
        """
        baseline = state.baseline(epochs)
        if baseline is None:
            return None
        ends = tuple(self.limits.get(name, _BOX * cost(baseline, name)) for name in self.costs)
        return (1.0, *ends) if all(math.isfinite(end) and end > 0 for end in ends) else None


def cost(trial: Trial, name: str) -> float:
    """Returns a cost of a trained network, infinity if it is not known."""
    return trial.metrics.get(COST + name, math.inf)


def costs_of(trial: Trial) -> dict[str, float]:
    """Returns all costs in a trial's metrics, by name."""
    return {name.removeprefix(COST): value for name, value in trial.metrics.items() if name.startswith(COST)}


def knee(front: Sequence[Trial], objectives: Objectives) -> Trial:
    """Returns the network nearest to the ideal point, with each objective scaled to the front's range.

    A compromise solution (M. Zeleny, Multiple Criteria Decision Making, 1973) with the Euclidean distance.
    """
    return front[knee_place([(*objectives.point(trial), trial.trial) for trial in front])]


def knee_place(points: Sequence[Sequence[float]]) -> int:
    """Returns the index of the point nearest to the ideal point; among equals the least point.

    Args:
        points: The objectives of each point, followed by a number that breaks ties.
    """
    *objectives, _ = zip(*points, strict=True)
    low = [min(values) for values in objectives]
    high = [max(values) for values in objectives]

    def distance(point: Sequence[float]) -> float:
        return sum(((p - a) / (b - a)) ** 2 for p, a, b in zip(point, low, high, strict=False) if b > a)

    return min(range(len(points)), key=lambda place: (distance(points[place]), *points[place]))


def hypervolume(points: Iterable[Sequence[float]], reference: Sequence[float]) -> float:
    """Computes the share of the box between zero and a reference point that points dominate, 0..1.

    The measure is that of E. Zitzler and L. Thiele (PPSN 1998), computed by slices along the last objective.

    Args:
        points: Objectives of each point, not negative, to be minimised.
        reference: Far corner of the box.
    """
    inside = [
        tuple(value / end for value, end in zip(point, reference, strict=True))
        for point in points
        if all(value < end for value, end in zip(point, reference, strict=True))
    ]
    return _volume(inside, len(reference))


def _volume(points: Sequence[tuple[float, ...]], axes: int) -> float:
    if not points:
        return 0.0
    if axes == 1:
        return 1.0 - min(point[0] for point in points)
    ordered = sorted(points, key=lambda point: point[axes - 1])
    ends = [*(point[axes - 1] for point in ordered[1:]), 1.0]
    return sum(
        (end - point[axes - 1]) * _volume(ordered[: place + 1], axes - 1)
        for place, (point, end) in enumerate(zip(ordered, ends, strict=True))
        if end > point[axes - 1]
    )


def format_cost(name: str, value: float) -> str:
    """Formats a cost with its unit: ``424 M``, ``4.2 ms``, ``1.3 GB``."""
    if not math.isfinite(value):
        return "unknown"
    match name:
        case "macs" | "params":
            return format_count(value)
        case "latency":
            return f"{value:.3g} ms"
        case "memory":
            return format_size(value)
        case "epoch_seconds":
            return format_duration(value)
    return f"{value:.4g}"


def title(name: str) -> str:
    """Returns the name of a cost in a sentence."""
    return {"macs": "MACs", EPOCH_SECONDS: "training seconds an epoch"}.get(name, name)
