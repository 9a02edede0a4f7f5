"""Hypervolume: what a front dominates, and how much a configuration is expected to add to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr

from nas.optimizers.smac.pareto import nondominated

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

_DENSITY = 1 / np.sqrt(2 * np.pi)


def hypervolume(points: Vector, reference: Vector) -> float:
    """Returns the volume that points ``(N, M)`` dominate, up to a reference ``(M,)``; lower is better."""
    points = points[(points < reference).all(1)]
    if not len(points):
        return 0.0
    if len(reference) == 1:
        return float(reference[0] - np.min(points))
    points = points[nondominated(points)]
    points = points[np.argsort(points[:, 0], kind="stable")]
    widths = np.diff([*points[:, 0], reference[0]])
    return sum(
        float(width) * hypervolume(points[: k + 1, 1:], reference[1:])
        for k, width in enumerate(widths)
        if width > 0
    )


class Boxes:
    """The volume that a front does not dominate, cut at its points into boxes without a lower end.

    They are the same for all candidates, so they are computed once.
    """

    def __init__(self, front: Vector, reference: Vector) -> None:
        """Cuts the volume into boxes.

        Args:
            front: Points ``(F, M)``; slow for M above 3.
            reference: The point up to which volume counts ``(M,)``.
        """
        front = front[(front < reference).all(1)]
        front = front[nondominated(front)]
        self._ends = np.concatenate([front, reference[None]])
        self._slices = _cut(front, 0, np.arange(len(front)))

    def expected_improvement(self, means: Vector, deviations: Vector) -> Vector:
        """Volume ``(N,)`` that candidates are expected to add, exactly, for independent normal objectives.

        A candidate is expected to win of each box the product over objectives of the expected length
        ``E[(high - y)+] - E[(low - y)+]`` (Emmerich and others, "Hypervolume-based expected improvement",
        CEC 2011). An objective that is known has deviation 0.

        Args:
            means: Predicted means of the candidates ``(N, M)``.
            deviations: Standard deviations of the same ``(N, M)``.
        """
        ends = self._ends
        axes = range(ends.shape[1])
        lengths = [_expected_length(ends[:, m], means[:, m], deviations[:, m]) for m in axes]
        return _volume(self._slices, lengths, 0)


# Along one objective: where a slice ends, the place of a front's point or of the reference behind them, and
# the slices of the next objective within it. Of the last objective only the place where volume begins.
_Slices = list[tuple[int, "_Slices | int"]]


def _cut(front: Vector, axis: int, members: NDArray[np.int64]) -> _Slices | int:
    """Slices over the objectives from ``axis`` on of the volume that no member dominates in them."""
    beyond = len(front)  # the reference's place
    if axis == front.shape[1] - 1:
        return int(members[np.argmin(front[members, axis])]) if len(members) else beyond
    if len(members):
        members = members[nondominated(front[np.ix_(members, range(axis, front.shape[1]))])]
    order = members[np.argsort(front[members, axis], kind="stable")]
    return [(int(place), _cut(front, axis + 1, order[:k])) for k, place in enumerate([*order, beyond])]


def _volume(slices: _Slices | int, lengths: Sequence[Vector], axis: int) -> Vector:
    if isinstance(slices, int):
        return lengths[axis][slices]
    total, before = np.zeros(lengths[0].shape[1]), np.zeros(lengths[0].shape[1])
    for place, inner in slices:
        upto = lengths[axis][place]
        total += (upto - before) * _volume(inner, lengths, axis + 1)
        before = upto
    return total


def _expected_length(ends: Vector, mean: Vector, deviation: Vector) -> Vector:
    """``E[(end - y)+]`` for normal ``y``: ``(E, N)``."""
    gap = ends[:, None] - mean
    sure = deviation <= 0
    z = gap / np.where(sure, 1.0, deviation)
    likely = gap * ndtr(z) + deviation * _DENSITY * np.exp(-0.5 * z**2)
    return np.where(sure, np.maximum(gap, 0.0), likely)
