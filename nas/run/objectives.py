"""What a run weighs besides the error: its costs, its limits, and the front of networks beaten by none."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nas.run.search_file import Weighed
from nas.util.quantities import format_count, format_duration, format_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nas.run.search_file import SearchFile
    from nas.run.state import SearchState, Trial

ERROR, KNEE = "error", "knee"
COST = "cost_"  # before a cost's name among a trial's metrics
LATENCY, MEMORY, EPOCH_SECONDS = "latency", "memory", "epoch_seconds"
COUNTED, MEASURED = ("macs", "params"), (LATENCY, MEMORY, EPOCH_SECONDS)
_BOX = 4.0  # times the baseline's cost: the far end of the box that a front's volume is a share of


@dataclass(frozen=True)
class Objectives:
    """What a search weighs.

    Attributes:
        costs: Minimised beside the error.
        limits: The most that a cost may be, by name; a cost need not be minimised.
        prefer: Which network of the front is the incumbent: ``error``, the most accurate one, or ``knee``.
        network: Whose costs are counted: a full size of the space, or ``reduced``.
    """

    costs: tuple[str, ...]
    limits: Mapping[str, float] = field(default_factory=dict)
    prefer: str = ERROR
    network: str = "reduced"

    @classmethod
    def of(cls, search: SearchFile) -> Objectives | None:
        """Those of a run by its ``search.json``; None for one that weighs the error alone."""
        found = search.objectives
        if found is None:
            return None
        return cls(tuple(found.costs), found.limits, found.prefer, found.network)

    def recorded(self) -> Weighed:
        """For ``search.json``."""
        return Weighed(
            costs=list(self.costs), limits=dict(self.limits), prefer=self.prefer, network=self.network
        )

    @property
    def names(self) -> tuple[str, ...]:
        """All costs that are minimised or limited."""
        return tuple(dict.fromkeys([*self.costs, *self.limits]))

    @property
    def axes(self) -> tuple[str, ...]:
        """The front's objectives: the error and what is minimised."""
        return (ERROR, *self.costs)

    def fits(self, trial: Trial) -> bool:
        """Whether a trained network keeps all limits; one whose cost is not known does not."""
        return all(self.fits_in(trial, name) for name in self.limits)

    def fits_in(self, trial: Trial, name: str) -> bool:
        """Whether it keeps one of the limits."""
        return cost(trial, name) <= self.limits[name]

    def front(self, state: SearchState, epochs: int) -> list[Trial]:
        """Networks of one rung within the limits that no other beats or equals in all, by rising cost.

        Without a cost to minimise it is the most accurate network.
        """
        ended = (t for t in state.trials.values() if t.epochs == epochs and not t.cached and not t.repeat)
        fitting = [trial for trial in ended if trial.error is not None and self.fits(trial)]
        order = {trial.trial: self.point(trial) for trial in fitting}
        fitting.sort(key=lambda trial: (*order[trial.trial], trial.trial))
        kept: list[Trial] = []
        for trial in fitting:  # sorted by error first: nothing behind a trial beats it
            point = order[trial.trial]
            if all(map(math.isfinite, point)) and not any(
                all(a <= b for a, b in zip(order[one.trial], point, strict=True)) for one in kept
            ):
                kept.append(trial)
        return kept[::-1]

    def point(self, trial: Trial) -> tuple[float, ...]:
        """A trained network's error and costs."""
        error = math.inf if trial.error is None else trial.error
        return (error, *(cost(trial, name) for name in self.costs))

    def winner(self, front: Sequence[Trial]) -> Trial | None:
        """The front's network that leads by ``prefer``; None if the front is empty."""
        if not front:
            return None
        if self.prefer == KNEE:
            return knee(front, self)
        return min(front, key=lambda trial: (*self.point(trial), trial.trial))

    def reference(self, state: SearchState, epochs: int) -> tuple[float, ...] | None:
        """The far corner of the box: error 1, and each cost's limit or else four times the baseline's cost.

        None before the baseline was trained to the highest rung.
        """
        baseline = state.baseline(epochs)
        if baseline is None:
            return None
        ends = tuple(self.limits.get(name, _BOX * cost(baseline, name)) for name in self.costs)
        return (1.0, *ends) if all(math.isfinite(end) and end > 0 for end in ends) else None


def cost(trial: Trial, name: str) -> float:
    """A cost of a trained network; infinite if it is not known."""
    return trial.metrics.get(COST + name, math.inf)


def costs_of(trial: Trial) -> dict[str, float]:
    """All costs that a trial tells of, by name."""
    return {name.removeprefix(COST): value for name, value in trial.metrics.items() if name.startswith(COST)}


def knee(front: Sequence[Trial], objectives: Objectives) -> Trial:
    """The network nearest to the best of everything, each objective scaled to the front's range.

    A compromise solution (M. Zeleny, Multiple Criteria Decision Making, 1973) with the Euclidean distance.
    """
    return front[knee_place([(*objectives.point(trial), trial.trial) for trial in front])]


def knee_place(points: Sequence[Sequence[float]]) -> int:
    """Which of points is nearest to the best of everything; of equals the least, whose last number decides.

    Args:
        points: Objectives, and a number that tells points apart.
    """
    *objectives, _ = zip(*points, strict=True)
    low = [min(values) for values in objectives]
    high = [max(values) for values in objectives]

    def distance(point: Sequence[float]) -> float:
        return sum(((p - a) / (b - a)) ** 2 for p, a, b in zip(point, low, high, strict=False) if b > a)

    return min(range(len(points)), key=lambda place: (distance(points[place]), *points[place]))


def hypervolume(points: Iterable[Sequence[float]], reference: Sequence[float]) -> float:
    """Share of the box between zero and a reference point that points dominate, 0..1.

    By slices along the last objective (E. Zitzler and L. Thiele, PPSN 1998, for the measure).

    Args:
        points: Their objectives, none below zero; the less the better.
        reference: The box's far corner.
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
    """A cost with its unit: ``424 M``, ``4.2 ms``, ``1.3 GB``."""
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
    """What a cost is called in a sentence."""
    return {"macs": "MACs", EPOCH_SECONDS: "training seconds an epoch"}.get(name, name)
