"""A summary of the front: number of networks, the best error at three costs, the hypervolume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.run.objectives import Objectives, costs_of, format_cost, hypervolume, title
from nas.util.quantities import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nas.run.search_file import SearchFile
    from nas.run.state import SearchState, Trial

_SHOWN = 3  # networks of the front that are shown


@dataclass(frozen=True)
class FrontMember:
    """A network of the front: its trial, its error and its costs by name."""

    trial: int
    error: float
    costs: dict[str, float]


@dataclass(frozen=True)
class FrontView:
    """A summary of the front.

    Attributes:
        objectives: ``error`` and the costs that are minimised.
        limits: Upper limits of costs.
        size: Number of networks on the front.
        shown: The cheapest, the middle and the most accurate one; all if there are no more than three.
        hypervolume: Share of the box that the front dominates; None before the baseline is trained.
    """

    objectives: list[str]
    limits: dict[str, float]
    size: int
    shown: list[FrontMember]
    hypervolume: float | None


def take(state: SearchState, search: SearchFile) -> FrontView | None:
    """Summarises the front of a run; None for a search by the error alone."""
    objectives = Objectives.of(search)
    if objectives is None:
        return None
    epochs = search.rungs[-1]
    front = objectives.front(state, epochs)
    reference = objectives.reference(state, epochs)
    return FrontView(
        objectives=list(objectives.axes),
        limits=dict(objectives.limits),
        size=len(front),
        shown=[FrontMember(one.trial, one.error or 0.0, costs_of(one)) for one in spread(front)],
        hypervolume=None
        if reference is None
        else round(hypervolume([objectives.point(one) for one in front], reference), 6),
    )


def spread(front: Sequence[Trial]) -> list[Trial]:
    """Returns the first, the middle and the last network of a front; all of a small one."""
    if len(front) <= _SHOWN:
        return list(front)
    return [front[0], front[len(front) // 2], front[-1]]


def words(front: FrontView) -> str:
    """Describes the front in one line."""
    cost_names = front.objectives[1:]
    if not cost_names:
        return f"limits  {limits(front.limits)}"
    if not front.size:
        return "front  empty: no network within the limits has been trained for all epochs"
    shown = ", ".join(
        f"{100 * (1 - one.error):.2f}% at "
        + " and ".join(f"{format_cost(name, one.costs[name])} {title(name)}" for name in cost_names)
        for one in front.shown
    )
    volume = "" if front.hypervolume is None else f"; hypervolume {front.hypervolume:.4f}"
    return f"front  {counted(front.size, 'network')}: {shown}{volume}"


def limits(given: Mapping[str, float]) -> str:
    """Formats limits."""
    return ", ".join(f"at most {format_cost(name, limit)} {title(name)}" for name, limit in given.items())


def standing(trial: Trial, state: SearchState, objectives: Objectives | None) -> str:
    """Describes where an ended trial is relative to the front, to be appended to its figures; or ""."""
    if objectives is None or trial.error is None:
        return ""
    beyond = [name for name in objectives.limits if not objectives.fits_in(trial, name)]
    if beyond:
        return f"; beyond the limit of {' and '.join(title(name) for name in beyond)}"
    front = objectives.front(state, trial.epochs) if objectives.costs else []
    place = next((at for at, one in enumerate(front, start=1) if one.trial == trial.trial), 0)
    highest = max(one.epochs for one in state.trials.values())
    return f"; on the front, {place} of {len(front)}" if place and trial.epochs == highest else ""
