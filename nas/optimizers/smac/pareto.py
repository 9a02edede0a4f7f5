"""Comparison of points with several objectives, all minimised."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]
    Mask = NDArray[np.bool_]

# Of a front's extent, beyond it: 1 / (points - 1) is advised (Ishibuchi and others, Evol. Comput. 26, 2018).
_MARGIN = 0.1


def nondominated(points: Vector) -> Mask:
    """Returns which points are non-dominated ``(N,)``.

    Another point dominates one if it is better in one objective and no worse in the others.

    Args:
        points: ``(N, M)``; of equal points all stay.
    """
    kept = np.zeros(len(points), dtype=np.bool_)
    # The least sum of what is left is dominated by none of it, and none of what it beat can beat it.
    places = np.lexsort((*points.T[::-1], points.sum(1)))
    left = points[places]
    while len(left):
        best = left[0]
        kept[places[(left == best).all(1)]] = True
        better = (left < best).any(1)
        places, left = places[better], left[better]
    return kept


def ranks(points: Vector, enough: int | None = None) -> NDArray[np.int64]:
    """Ranks ``(N,)``: 0 for the front, 1 for the front of the others, and so on (NSGA-II).

    Args:
        points: ``(N, M)``.
        enough: Once this many are ranked, all others share the next rank.
    """
    if points.shape[1] == 2:
        found = _ranks_of_pairs(points)
        if enough is not None:
            ranked = np.cumsum(np.bincount(found))
            found = np.minimum(found, np.searchsorted(ranked, enough) + 1)
        return found
    found = np.full(len(points), -1, dtype=np.int64)
    left, rank = np.arange(len(points)), 0
    while len(left):
        front = nondominated(points[left])
        found[left[front]] = rank
        left, rank = left[~front], rank + 1
        if enough is not None and len(points) - len(left) >= enough:
            found[left] = rank
            break
    return found


def _ranks_of_pairs(points: Vector) -> NDArray[np.int64]:
    """Ranks of points ``(N, 2)`` in ``N log N`` steps (Jensen, IEEE Trans. Evol. Comput. 7, 2003)."""
    order = np.lexsort(points.T[::-1])
    found = np.empty(len(points), dtype=np.int64)
    least: list[float] = []  # second objective of each front so far; it rises from front to front
    before: list[float] = []
    rank = 0
    for place, point in zip(order.tolist(), points[order].tolist(), strict=True):
        if point != before:
            # What came earlier is as good in the first objective: it dominates unless worse in the second.
            rank = bisect_right(least, point[1])
            least[rank : rank + 1] = [point[1]]
        found[place], before = rank, point
    return found


def scaled(points: Vector, by: Vector) -> Vector:
    """Points ``(N, M)`` with the extent of others ``(K, M)`` as unit."""
    low, high = by.min(0), by.max(0)
    return (points - low) / np.where(high > low, high - low, 1.0)


def preferred(points: Vector, rivals: Vector, taken: Vector, n: int) -> list[int]:
    """Chooses ``n`` points to continue with, as in MO-ASHA (arXiv 2106.12639).

    They are chosen by rank among all rivals; at equal rank, the one farthest from those already chosen comes
    first (epsilon-net), beginning with the lowest first objective.

    Args:
        points: To choose from ``(N, M)``.
        rivals: All points measured in the same way, including these ``(K, M)``.
        taken: Rivals chosen earlier ``(T, M)``.
        n: How many to choose; there may be fewer.
    """
    unit = np.ptp(rivals, axis=0) if len(rivals) else np.ones(points.shape[1])
    unit = np.where(unit > 0, unit, 1.0)
    above = rivals[(rivals[:, None] <= points).all(2).any(1)]  # the others have no part in these ranks
    by_rank = ranks(np.concatenate([points, above]))[: len(points)]
    gaps = np.full(len(points), np.inf)
    for place in taken:
        gaps = np.minimum(gaps, np.linalg.norm((points - place) / unit, axis=1))
    chosen: list[int] = []
    left = np.lexsort(points.T[::-1])  # by the first objective
    while len(chosen) < n and len(left):
        best = left[by_rank[left] == np.min(by_rank[left])]
        chosen.append(int(best[np.argmax(gaps[best])]))
        left = left[left != chosen[-1]]
        gaps = np.minimum(gaps, np.linalg.norm((points - points[chosen[-1]]) / unit, axis=1))
    return chosen


def spread(points: Vector, n: int) -> NDArray[Any]:
    """Returns the indices of at most ``n`` points that cover all ``(N, M)``: the ends, then the farthest."""
    if len(points) <= n:
        return np.arange(len(points))
    unit = scaled(points, points)
    chosen = list(dict.fromkeys(int(i) for i in unit.argmin(0)))[:n]
    gaps = np.min([np.linalg.norm(unit - unit[i], axis=1) for i in chosen], axis=0)
    while len(chosen) < n:
        chosen.append(int(np.argmax(gaps)))
        gaps = np.minimum(gaps, np.linalg.norm(unit - unit[chosen[-1]], axis=1))
    return np.array(sorted(chosen))


def corner(points: Vector, most: Vector) -> Vector:
    """The point ``(M,)`` up to which a search looks for a front.

    In the error a tenth beyond the front, see :func:`reference`; in costs at least to the costliest of all.
    Up to the front alone, nothing costlier than the most accurate network so far would be worth anything, and
    the search would never look there.

    Args:
        points: All that were measured ``(N, M)``, the error first.
        most: What nothing may exceed, by objective ``(M,)``; infinite without a limit.
    """
    found = reference(points, most)
    found[1:] = np.minimum(np.maximum(found, points.max(0)), most)[1:]
    return found


def reference(points: Vector, most: Vector) -> Vector:
    """The point ``(M,)`` up to which a front counts: a tenth of its extent beyond its worst.

    Args:
        points: All that were measured ``(N, M)``.
        most: What nothing may exceed, by objective ``(M,)``; infinite without a limit.
    """
    front = points[nondominated(points)]
    worst, best = front.max(0), front.min(0)
    extent = np.where(worst > best, worst - best, np.ptp(points, axis=0))
    return np.minimum(worst + _MARGIN * np.where(extent > 0, extent, 1.0), most)
