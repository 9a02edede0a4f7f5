"""A cost that only training can measure: a Gaussian process of its logarithm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from nas.optimizers.smac.evidence import Evidence
from nas.optimizers.smac.gaussian_process import GaussianProcess

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ConfigSpace import ConfigurationSpace
    from numpy.typing import NDArray

    from nas.optimizers.smac.evidence import TrainingData

    Vector = NDArray[np.float64]

_LEAST = 2  # configurations to learn from
_TUNE_GROWTH = 10  # as for the error's Gaussian process


class MeasuredCost:
    """A Gaussian process of a measured cost's logarithm, over all rungs like that of the error."""

    def __init__(self, space: ConfigurationSpace, rungs: Sequence[int]) -> None:
        """Starts with nothing measured."""
        self._process = GaussianProcess(space)
        self._evidence = Evidence(rungs)
        self._tuned_at = self._learnt = 0
        self._tune_on: TrainingData | None = None

    def add(self, row: Vector, epochs: int, log_cost: float) -> None:
        """Takes what a trial measured."""
        self._evidence.add(row, epochs, log_cost)
        finished = self._evidence.finished
        if finished >= _LEAST and finished - self._tuned_at > self._tuned_at // _TUNE_GROWTH:
            self._tuned_at, self._tune_on = finished, self._evidence.training_data()

    def predict(self, rows: Vector) -> tuple[Vector, Vector] | None:
        """Returns mean and deviation ``(N,)`` of the logarithm; None while too little was measured."""
        if self._evidence.finished < _LEAST:
            return None
        if self._learnt != self._evidence.finished:
            self._learnt = self._evidence.finished
            if self._tune_on is not None:
                self._process.tune(self._tune_on)
                self._tune_on = None
            self._process.learn(self._evidence.training_data())
        mean, variance = self._process.predict(rows)
        assert variance is not None
        return mean.ravel(), np.sqrt(variance.ravel())
