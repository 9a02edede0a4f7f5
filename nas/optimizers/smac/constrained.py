"""Choosing within limits: the selector and the maximizer of expected improvement, with costs."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.optimizers.smac.acquisition import logarithm
from nas.optimizers.smac.maximizer import PoolSearch
from nas.optimizers.smac.selector import DerivedSelector

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ConfigSpace import Configuration
    from numpy.typing import NDArray

    from nas.optimizers.smac.evidence import TrainingData
    from nas.optimizers.smac.feasible import Feasible
    from nas.optimizers.smac.front import ExpectedHypervolume
    from nas.optimizers.smac.tradeoff import Tradeoff

    Vector = NDArray[np.float64]

_BATCHES = 0, 1, 8, 16, 32  # candidates are counted exactly up to here, best first
_FRONT_BATCHES = 0, 8, 16, 32  # where the count decides what a candidate is worth
_MOST_DRAWN = 8  # random configurations, each of which is counted, where some crash
_ALL = 10**6
_STARTS = 8  # of the front, whose neighbours are candidates


class FeasibleSearch(PoolSearch):
    """A pool search whose choice keeps all limits.

    Improvement is multiplied by the probability that the limits are kept, which is nearly 0 or 1 for a cost
    that can be counted; then the best few are counted exactly.
    """

    _batches: tuple[int, ...] = _BATCHES

    def __init__(self, *args: Any, feasible: Feasible, tradeoff: Tradeoff) -> None:
        super().__init__(*args)
        self._feasible, self._tradeoff = feasible, tradeoff

    def _drawn(self, n: int, seen: Mapping[bytes, Configuration]) -> Vector:  # type: ignore[override]
        return self._feasible.pool(n, seen, self._rng)

    def _score(self, rows: Sequence[Vector]) -> Vector:
        kept = self._feasible.model.probability(np.array(rows)) * self._likely(rows)
        return super()._score(rows) + logarithm(kept)

    def _best(self, pool: Sequence[Vector], scores: Vector, n: int) -> tuple[NDArray[np.int64], Vector]:
        """The best of the first batch in which any configuration keeps the limits; possibly none."""
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
        """Returns the logarithm of improvement with exact costs; minus infinity beyond a limit."""
        if not rows:
            return np.empty(0)
        fits = self._feasible.model.fitting(rows)
        return np.where(fits, self._improvement(rows) + logarithm(self._likely(rows)), -np.inf)

    def _improvement(self, rows: Sequence[Vector]) -> Vector:
        return super()._score(rows)

    def _likely(self, rows: Sequence[Vector]) -> Vector:
        return self._tradeoff.probability(np.array(rows))


class FrontSearch(FeasibleSearch):
    """Where the hypervolume's expected improvement is highest: around the whole front."""

    _batches = _FRONT_BATCHES
    _acquisition_function: ExpectedHypervolume

    def _leaders(self) -> Vector:
        rows = self._acquisition_function.front_rows
        return rows[np.linspace(0, len(rows) - 1, min(_STARTS, len(rows))).round().astype(int)]

    def _improvement(self, rows: Sequence[Vector]) -> Vector:
        values = self._acquisition_function.improvement(np.array(rows), exactly=True)
        return values if self._survival is None else values + logarithm(self._survival(np.array(rows)))


class FeasibleSelector(DerivedSelector):
    """Never yields a configuration that is known to exceed a limit."""

    def __init__(self, *args: Any, feasible: Feasible, tradeoff: Tradeoff, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._feasible, self._tradeoff = feasible, tradeoff

    @property
    def exhausted(self) -> bool:
        """Whether nothing is left that keeps the limits."""
        planned = len(self._yielded) < len(self._initial_design_configs)
        return not planned and self._feasible.exhausted(self._yielded)

    def _choose(self, seed: int) -> Configuration:
        self._feasible.update(self._yielded)
        return super()._choose(seed)

    def _unseen(self, n: int, rng: np.random.RandomState) -> Vector:
        return self._feasible.draw(min(n, _MOST_DRAWN), self._yielded, rng)

    def _training_data(self) -> TrainingData:
        return self._tradeoff.thinned(super()._training_data())

    def _inform(self) -> None:
        rows, errors = self._model.leaders(_ALL)
        keeps = self._tradeoff.keeps(rows)
        if keeps.any():
            rows, errors = rows[keeps], errors[keeps]
        self._acquisition_function.update(
            model=self._model, eta=errors[0], tried=(rows, errors), finished=self._evidence.finished
        )
