"""Costs that can be counted before training: exact where counted, predicted elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr

from nas.optimizers.smac.candidates import Candidates, keys
from nas.optimizers.smac.evidence import TrainingData
from nas.optimizers.smac.gaussian_process import GaussianProcess

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ConfigSpace import ConfigurationSpace
    from numpy.typing import NDArray

    from nas.optimizers.objectives import Costs

    Vector = NDArray[np.float64]
    Exact = Mapping[str, float]

_LEAST_COST = 1e-12  # costs go by their logarithm


class CostModel:
    """Exact costs of some configurations, and a Gaussian process of each cost's logarithm for the others.

    Counting a cost takes milliseconds per configuration, so only a few of thousands of candidates can be
    counted; the Gaussian processes say which.
    """

    def __init__(self, space: ConfigurationSpace, candidates: Candidates, costs: Costs) -> None:
        """Starts with nothing counted."""
        self._candidates, self._costs = candidates, costs
        names = dict.fromkeys((*costs.objectives, *costs.limits))
        self.names = tuple(name for name in names if name not in costs.measured)
        self._processes = {name: GaussianProcess(space) for name in self.names}
        self._counted: dict[bytes, Exact] = {}
        # Objective and limit ask for the same candidates, one after the other.
        self._predicted: dict[str, tuple[Vector, Vector, Vector]] = {}

    def exact(self, rows: Sequence[Vector] | Vector) -> list[Exact]:
        """Counts the costs of configurations, each once."""
        names = keys(np.asarray(rows))
        fresh = {name: row for name, row in zip(names, rows, strict=True) if name not in self._counted}
        if fresh:
            configs = [self._candidates.values(row) for row in fresh.values()]
            self._counted.update(zip(fresh, self._costs.known(configs), strict=True))
        return [self._counted[name] for name in names]

    def fitting(self, rows: Sequence[Vector] | Vector) -> list[bool]:
        """Returns whether configurations keep the limits; counts them."""
        return [self._costs.fits(costs) for costs in self.exact(rows)]

    def excess(self, rows: Sequence[Vector] | Vector) -> Vector:
        """Returns how far configurations exceed the limits, on a logarithmic scale ``(N,)``; counts them."""
        return np.array(
            [
                max((logs(costs[n]) - logs(limit) for n, limit in self._limits(costs)), default=0.0)
                for costs in self.exact(rows)
            ]
        )

    def learn(self, rows: Vector, *, tune: bool) -> None:
        """Learns from configurations, which are counted; ``tune``: length scales too."""
        counted = self.exact(rows)
        self._predicted.clear()
        for name, process in self._processes.items():
            data = TrainingData.of(rows, logs([costs.get(name, np.inf) for costs in counted]))
            data = data.part(np.isfinite(data.errors))
            if tune:
                process.tune(data)
            process.learn(data)

    def predict(self, name: str, rows: Vector) -> tuple[Vector, Vector]:
        """Returns mean and standard deviation ``(N,)`` of a cost's logarithm."""
        known = self._predicted.get(name)
        if known is None or not np.array_equal(known[0], rows):
            mean, variance = self._processes[name].predict(rows)
            assert variance is not None
            known = self._predicted[name] = rows, mean.ravel(), np.sqrt(variance.ravel())
        return known[1], known[2]

    def probability(self, rows: Vector) -> Vector:
        """Returns the probability ``(N,)`` that configurations keep the limits."""
        likely = np.ones(len(rows))
        for name, limit in self._costs.limits.items():
            if name in self._processes:
                mean, deviation = self.predict(name, rows)
                likely *= ndtr((logs(limit) - mean) / deviation)
        return likely

    def _limits(self, costs: Exact) -> list[tuple[str, float]]:
        return [(name, limit) for name, limit in self._costs.limits.items() if name in costs]


def logs(costs: Sequence[float] | float) -> Vector:
    """The logarithms of costs."""
    return np.log(np.maximum(np.asarray(costs, dtype=np.float64), _LEAST_COST))
