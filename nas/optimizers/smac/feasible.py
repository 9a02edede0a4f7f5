"""Configurations within limits: found, drawn and kept in reserve, with few of them counted exactly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nas.optimizers.smac.candidates import Candidates, distinct, key
from nas.optimizers.smac.cost_model import CostModel
from nas.util.seeds import derive

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Sequence

    from ConfigSpace import Configuration, ConfigurationSpace
    from numpy.typing import NDArray

    from nas.optimizers.objectives import Costs

    Vector = NDArray[np.float64]

_PROBES = 64  # configurations counted before the first trial
_ENOUGH = 16  # of them within the limits, else more are sought
_BATCH = 16  # counted at a time
_SEARCHES = 16  # batches at most: what is not found by then is taken for not there
_POOL = 1000
_STARTS = 16  # configurations whose neighbours are tried
_HOPELESS = 0.02  # probability of keeping the limits below which a random configuration is not counted
_FEW = 10  # where fewer than one in this many keeps the limits, random draws are not enough
_DRAWS, _DRAW_BATCH, _DRAW_BATCHES = 4, 8, 8  # pools, configurations counted at a time, and how often
_LEARN_STEP, _LEARN_MOST = 16, 256  # proposed configurations that the processes learn from besides the probes
_TUNE_AT = (0, 64, 256)


class Feasible:
    """The part of a space that keeps all known limits.

    Everything here is a function of the seed and the configurations proposed so far, in their order, so
    that a search resumed from its journal goes on as it would have gone on.
    """

    def __init__(
        self,
        space: ConfigurationSpace,
        candidates: Candidates,
        costs: Costs,
        anchors: Sequence[Configuration],
        seed: int,
    ) -> None:
        """Counts some random configurations, and seeks others if few of them keep the limits.

        Args:
            space: What is searched.
            candidates: The same space, as rows.
            costs: The costs and their limits.
            anchors: Configurations to begin with, such as the cheapest.
            seed: Seed of all random draws.
        """
        self.model = CostModel(space, candidates, costs)
        self.limited = any(name in self.model.names for name in costs.limits)
        self._candidates, self._seed = candidates, seed
        self._reserve: list[Vector] = []
        self._learnt = self._tuned = 0
        self._spent_at = -1  # proposed configurations when the last search for others ended
        rng = np.random.RandomState(derive(seed, "costs"))
        drawn = [*(anchor.get_array() for anchor in anchors), *candidates.sample(_PROBES, rng)]
        self._probes = np.array(distinct(drawn, ()))
        if self.model.names:
            self.model.learn(self._probes, tune=True)
        if self.limited:
            self._seek(_ENOUGH, {}, rng)
            self.model.learn(self._probes, tune=True)

    def exhausted(self, proposed: Mapping[bytes, Configuration]) -> bool:
        """Whether nothing is left that keeps the limits, as far as a bounded search can tell.

        Args:
            proposed: What was proposed so far, in order.
        """
        if len(proposed) >= self._candidates.size:
            return True
        if not self.limited:
            return False
        if not self._spares(proposed) and self._spent_at != len(proposed):
            self.update(proposed)
            self._seek(1, proposed, np.random.RandomState(derive(self._seed, "costs", len(proposed))))
            self._spent_at = len(proposed)
        return not self._spares(proposed)

    def draw(self, n: int, seen: Mapping[bytes, Configuration], rng: np.random.RandomState) -> Vector:
        """Draws distinct configurations ``(<= n, D)`` that keep the limits and were not seen."""
        if not self.limited:
            return self._candidates.unseen(n, seen, rng)
        found: dict[bytes, Vector] = {}
        for batch in self._batches(seen, n, rng):
            for row, fits in zip(batch, self.model.fitting(batch), strict=True):
                if fits and len(found) < n:
                    found.setdefault(key(row), row)
            if len(found) == n:
                break
        for row in self._spares(seen):
            if len(found) < n:
                found.setdefault(key(row), row)
        return np.array([*found.values()]).reshape(-1, self._probes.shape[1])

    def pool(self, n: int, seen: Mapping[bytes, Configuration], rng: np.random.RandomState) -> Vector:
        """Draws distinct unseen candidates ``(<= n, D)``; hardly any is likely to exceed a limit.

        Where few random ones keep the limits, neighbours of those known to keep them join in.
        """
        rows = self._candidates.unseen(n, seen, rng)
        if not self.limited or not len(rows):
            return rows
        likely = self._likely(rows)
        if len(likely) < n // _FEW:
            fitting = self._fitting(seen)
            starts = [fitting[i] for i in rng.permutation(len(fitting))[:_STARTS]]
            near = self._candidates.neighbours(np.array(starts), rng) if starts else rows[:0]
            likely = np.concatenate([likely, self._likely(near[rng.permutation(len(near))])])
        return np.array(distinct(likely, seen)[:n]).reshape(-1, rows.shape[1])

    def update(self, proposed: Mapping[bytes, Configuration]) -> None:
        """Trains the Gaussian processes on what was proposed, now and then."""
        count = min(len(proposed) - len(proposed) % _LEARN_STEP, _LEARN_MOST)
        if count == self._learnt or not self.model.names:
            return
        self._learnt = count
        rows = [config.get_array() for config in list(proposed.values())[:count]]
        tuned = max(at for at in _TUNE_AT if at <= count)
        if tuned != self._tuned:
            self._tuned = tuned
            self.model.learn(self._with_probes(rows[:tuned]), tune=True)
        self.model.learn(self._with_probes(rows), tune=False)

    def _with_probes(self, rows: Sequence[Vector]) -> Vector:
        return np.array(distinct([*self._probes, *rows], ()))

    def _spares(self, seen: Container[bytes]) -> list[Vector]:
        """Returns configurations known to keep the limits and not yet seen."""
        self._reserve = [row for row in self._reserve if key(row) not in seen]
        return self._reserve

    def _likely(self, rows: Vector) -> Vector:
        return rows[self.model.probability(rows) > _HOPELESS] if len(rows) else rows

    def _fitting(self, seen: Mapping[bytes, Configuration]) -> list[Vector]:
        """Returns configurations known to keep the limits."""
        probes = [
            row for row, fits in zip(self._probes, self.model.fitting(self._probes), strict=True) if fits
        ]
        return distinct([*probes, *(config.get_array() for config in seen.values())], ())

    def _batches(
        self, seen: Mapping[bytes, Configuration], n: int, rng: np.random.RandomState
    ) -> Iterator[Vector]:
        """Some small batches of candidates in the order drawn, the first of ``n``."""
        batches, size = _DRAW_BATCHES + n // _DRAW_BATCH, n
        for _ in range(_DRAWS):
            pool = self.pool(_POOL, seen, rng)
            while len(pool) and batches:
                batch, pool = pool[:size], pool[size:]
                batches, size = batches - 1, _DRAW_BATCH
                yield batch

    def _seek(self, n: int, seen: Mapping[bytes, Configuration], rng: np.random.RandomState) -> None:
        """Puts ``n`` configurations in reserve: the likeliest of random ones and neighbours, by batches."""
        known = self._with_probes([config.get_array() for config in seen.values()])
        excess = self.model.excess(known)
        self._reserve += [
            row for row, over in zip(known, excess, strict=True) if over <= 0 and key(row) not in seen
        ]
        for _ in range(_SEARCHES):
            if len(self._reserve) >= n:
                break
            order = np.argsort(np.maximum(excess, 0.0), kind="stable")
            starts = known[order[:_STARTS]]
            taken = {key(row) for row in known}
            pool = [*self._candidates.neighbours(starts, rng), *self._candidates.unseen(_POOL, taken, rng)]
            rows = np.array(distinct(pool, taken))
            if not len(rows):
                break
            likely = np.argsort(-self.model.probability(rows), kind="stable")[:_BATCH]
            batch = rows[likely]
            known, excess = np.concatenate([known, batch]), np.concatenate([excess, self.model.excess(batch)])
            self._reserve += [row for row, fits in zip(batch, self.model.fitting(batch), strict=True) if fits]
            self.model.learn(known, tune=False)
        self._probes = known if not seen else self._probes
