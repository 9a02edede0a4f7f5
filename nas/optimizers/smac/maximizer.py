"""Where expected improvement is highest: random configurations, and neighbours of the best."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
from smac.acquisition.maximizer import AbstractAcquisitionMaximizer

from nas.optimizers.smac.acquisition import logarithm
from nas.optimizers.smac.candidates import Candidates, distinct, key
from nas.optimizers.smac.climb import climb

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable, Sequence

    from ConfigSpace import Configuration
    from numpy.typing import NDArray
    from smac.acquisition.function import AbstractAcquisitionFunction
    from smac.scenario import Scenario

    from nas.optimizers.smac.evidence import Learner

    Vector = NDArray[np.float64]

RANDOM, NEIGHBOUR = "acquisition: random", "acquisition: neighbour"

_POOL = 1000
_ROUNDS = 4
_STARTS = 5  # configurations whose neighbours a round tries, of those seen and of the pool alike


class PoolSearch(AbstractAcquisitionMaximizer):
    """Scores a pool of random configurations and up to four rounds of one-exchange neighbours.

    The numbers of the best of them then climb along the gradient.

    It takes the place of SMAC's local search, which is slower (it scores one configuration at a
    time), chose worse, and depends on PYTHONHASHSEED through a ``set`` (all measured).
    """

    _acquisition_function: AbstractAcquisitionFunction

    def __init__(self, scenario: Scenario, candidates: Candidates) -> None:
        super().__init__(scenario.configspace, challengers=_POOL, seed=scenario.seed)
        self._candidates = candidates
        self._survival: Callable[[Vector], Vector] | None = None

    def reseed(self, seed: int) -> None:
        """Sets the random state of the next search."""
        self._rng = np.random.RandomState(seed)

    def _maximize(
        self, previous_configs: Sequence[Configuration], n_points: int
    ) -> list[tuple[float, Configuration]]:
        """SMAC's name for :meth:`search`."""
        return self.search({key(config.get_array()) for config in previous_configs}, n_points)

    def search(
        self,
        seen: Container[bytes],
        n_points: int,
        survival: Callable[[Vector], Vector] | None = None,
    ) -> list[tuple[float, Configuration]]:
        """Returns the best unseen configurations found, best first.

        Args:
            seen: Keys of rows that are not to be proposed again.
            n_points: How many to return at most.
            survival: The probability ``(N,)`` that configurations ``(N, D)`` do not crash: expected
                improvement is multiplied by it, as by the probability of feasibility in constrained
                expected improvement (Gardner et al., ICML 2014). None: nothing is known to crash.
        """
        self._survival = survival
        pool = [*self._drawn(_POOL, seen)]
        n_random = len(pool)
        if not pool:
            return []
        taken = {key(row) for row in pool}
        pool += self._neighbours_of(self._leaders(), seen, taken)
        scores = self._score(pool)
        tried = np.zeros(0, dtype=np.int64)
        for _ in range(_ROUNDS):
            starts = np.argsort(-scores, kind="stable")[:_STARTS]
            fresh = np.setdiff1d(starts, tried)
            if not (found := self._neighbours_of([pool[i] for i in fresh], seen, taken)):
                break
            tried = np.union1d(tried, starts)
            pool += found
            scores = np.concatenate([scores, self._score(found)])
        starts = np.argsort(-scores, kind="stable")[:_STARTS]
        if climbed := self._climbed([pool[i] for i in starts], seen, taken):
            pool += climbed
            scores = np.concatenate([scores, self._score(climbed)])
        order, values = self._best(pool, scores, n_points)
        origins = [RANDOM if i < n_random else NEIGHBOUR for i in order]
        best = [self._candidates.decode(pool[i], origin) for i, origin in zip(order, origins, strict=True)]
        return list(zip(values, best, strict=True))

    def _leaders(self) -> Vector:
        """The best of what was tried ``(N, D)``: their neighbours are candidates."""
        return cast("Learner", self._acquisition_function.model).leaders(_STARTS)[0]

    def _drawn(self, n: int, seen: Container[bytes]) -> Vector:
        """At most ``n`` random configurations."""
        return self._candidates.unseen(n, seen, self._rng)

    def _best(self, pool: Sequence[Vector], scores: Vector, n: int) -> tuple[NDArray[np.int64], Vector]:
        """Returns the indices in the pool of the best, and their scores, best first."""
        del pool
        order = np.argsort(-scores, kind="stable")[:n]
        return order, scores[order]

    def _neighbours_of(
        self, starts: Iterable[Vector], seen: Container[bytes], taken: set[bytes]
    ) -> list[Vector]:
        """Neighbours that are neither seen nor taken; they are taken then."""
        found: list[Vector] = []
        rows = np.array([*starts])
        for near in self._candidates.neighbours(rows, self._rng) if len(rows) else ():
            if (name := key(near)) not in taken and name not in seen:
                taken.add(name)
                found.append(near)
        return found

    def _climbed(self, starts: Sequence[Vector], seen: Container[bytes], taken: set[bytes]) -> list[Vector]:
        """The same configurations with numbers moved to where the score is highest; they are taken then."""
        rows = np.array(starts)
        free = self._candidates.numbers(rows)
        if not free.any():
            return []
        tops = self._candidates.settled(climb(self._score, rows, free), self._rng)
        found = distinct(tops, taken)
        taken.update(key(row) for row in found)
        return [row for row in found if key(row) not in seen]

    def _score(self, rows: Sequence[Vector]) -> Vector:
        scores = self._acquisition_function._compute(np.array(rows)).ravel()
        return scores if self._survival is None else scores + logarithm(self._survival(np.array(rows)))
