"""Where expected improvement is highest: random configurations, and neighbours of the best."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from smac.acquisition.maximizer import AbstractAcquisitionMaximizer

from nas.optimizers.candidates import Candidates, distinct, key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ConfigSpace import Configuration
    from numpy.typing import NDArray
    from smac.scenario import Scenario

    Vector = NDArray[np.float64]

RANDOM, NEIGHBOUR = "acquisition: random", "acquisition: neighbour"

_POOL = 1000
_ROUNDS = 4
_STARTS = 5  # configurations whose neighbours a round tries, of those seen and of the pool alike


class PoolSearch(AbstractAcquisitionMaximizer):
    """Scores a pool of random configurations and up to four rounds of one-exchange neighbours.

    It takes the place of SMAC's local search, which is slower (it scores one configuration at a
    time), chose worse, and depends on PYTHONHASHSEED through a ``set`` (all measured).
    """

    def __init__(self, scenario: Scenario, candidates: Candidates) -> None:
        super().__init__(scenario.configspace, challengers=_POOL, seed=scenario.seed)
        self._candidates = candidates

    def reseed(self, seed: int) -> None:
        """Sets the random state of the next search."""
        self._rng = np.random.RandomState(seed)

    def _maximize(
        self, previous_configs: Sequence[Configuration], n_points: int
    ) -> list[tuple[float, Configuration]]:
        """Gives the best unseen configurations found, best first.

        Args:
            previous_configs: Seen configurations, not to be proposed again; at least one.
            n_points: How many to give at most.
        """
        rows = np.array([config.get_array() for config in previous_configs])
        seen = {key(row) for row in rows}
        pool = list(self._candidates.unseen(_POOL, seen, self._rng))
        n_random = len(pool)
        if not pool:
            return []
        leaders, _ = self._acquisition_function.model.leaders(_STARTS)
        pool += self._neighbours_of(leaders, seen, pool)
        scores = self._score(pool)
        tried = np.zeros(0, dtype=np.int64)
        for _ in range(_ROUNDS):
            starts = np.argsort(-scores, kind="stable")[:_STARTS]
            fresh = np.setdiff1d(starts, tried)
            if not (found := self._neighbours_of([pool[i] for i in fresh], seen, pool)):
                break
            tried = np.union1d(tried, starts)
            pool += found
            scores = np.concatenate([scores, self._score(found)])
        order = np.argsort(-scores, kind="stable")[:n_points]
        origins = [RANDOM if i < n_random else NEIGHBOUR for i in order]
        found = [self._candidates.decode(pool[i], origin) for i, origin in zip(order, origins, strict=True)]
        return list(zip(scores[order], found, strict=True))

    def _neighbours_of(self, starts: Iterable[Vector], seen: set[bytes], pool: list[Vector]) -> list[Vector]:
        found = [near for row in starts for near in self._candidates.neighbours(row, self._rng)]
        return distinct(found, seen | {key(row) for row in pool})

    def _score(self, rows: Sequence[Vector]) -> Vector:
        return self._acquisition_function._compute(np.array(rows)).ravel()
