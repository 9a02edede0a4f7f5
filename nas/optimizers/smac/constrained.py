"""Choosing within limits: the selector and the maximizer of expected improvement, with costs."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.optimizers.smac.maximizer import PoolSearch
from nas.optimizers.smac.selector import DerivedSelector

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ConfigSpace import Configuration
    from numpy.typing import NDArray

    from nas.optimizers.smac.feasible import Feasible

    Vector = NDArray[np.float64]

_BATCHES = 0, 1, 8, 16, 32  # candidates are counted exactly up to here, best first


class FeasibleSearch(PoolSearch):
    """A pool search whose choice keeps all limits.

    Improvement counts by the probability that the limits are kept, which for a cost that can be counted is
    nearly 0 or 1; then the best few are counted exactly.
    """

    _batches = _BATCHES

    def __init__(self, *args: Any, feasible: Feasible) -> None:
        super().__init__(*args)
        self._feasible = feasible

    def _drawn(self, n: int, seen: Mapping[bytes, Configuration]) -> Vector:  # type: ignore[override]
        return self._feasible.pool(n, seen, self._rng)

    def _score(self, rows: Sequence[Vector]) -> Vector:
        return super()._score(rows) * self._feasible.model.probability(np.array(rows))

    def _best(self, pool: Sequence[Vector], scores: Vector, n: int) -> tuple[NDArray[np.int64], Vector]:
        """The best of the first batch in which any keeps the limits; none at all perhaps."""
        order = np.argsort(-scores, kind="stable")
        for start, end in pairwise(self._batches):
            places = order[start:end]
            values = self._counted([pool[i] for i in places])
            best = np.argsort(-values, kind="stable")[:n]
            best = best[np.isfinite(values[best])]
            if len(best):
                return places[best], values[best]
        return order[:0], scores[:0]

    def _counted(self, rows: list[Vector]) -> Vector:
        """Improvement of configurations by their exact costs; minus infinity beyond a limit."""
        if not rows:
            return np.empty(0)
        fits = self._feasible.model.fitting(rows)
        return np.where(fits, super()._score(rows), -np.inf)


class FeasibleSelector(DerivedSelector):
    """Never yields a configuration that is known to exceed a limit."""

    def __init__(self, *args: Any, feasible: Feasible, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._feasible = feasible

    @property
    def exhausted(self) -> bool:
        """Whether nothing is left that keeps the limits."""
        planned = len(self._yielded) < len(self._initial_design_configs)
        return not planned and self._feasible.exhausted(self._yielded)

    def _choose(self, seed: int) -> Configuration:
        self._feasible.update(self._yielded)
        return super()._choose(seed)

    def _random(self, rng: np.random.RandomState) -> Vector:
        return self._feasible.draw(1, self._yielded, rng)[0]
