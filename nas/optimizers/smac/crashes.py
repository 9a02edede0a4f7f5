"""The probability that a configuration crashes, learnt from those that did and did not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import norm

from nas.optimizers.smac.evidence import TrainingData
from nas.optimizers.smac.gaussian_process import GaussianProcess

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

_CRASHED, _EVEN = 1.0, 0.5


class CrashModel:
    """Least-squares classification (Rasmussen and Williams 2006, section 6.5) with the errors' kernel.

    A Gaussian process regresses 1 for a crash and 0 for a success on the choices, with separate length
    scales, since what makes a network crash need not be what makes it good. The probability that it lies
    above one half is that of a crash.
    """

    def __init__(self, configspace: ConfigurationSpace) -> None:
        """Starts without data."""
        self._process = GaussianProcess(configspace)

    def learn(self, rows: Vector, crashed: NDArray[np.bool_]) -> None:
        """Learns anew from configurations ``(N, D)`` and whether each crashed ``(N,)``; nothing is random."""
        data = TrainingData.of(rows, np.where(crashed, _CRASHED, 0.0))
        self._process.tune(data)
        self._process.learn(data)

    def survival(self, rows: Vector) -> Vector:
        """Returns the probability ``(N,)`` that configurations ``(N, D)`` do not crash."""
        mean, variance = self._process.predict(rows)
        assert variance is not None
        return np.asarray(norm.cdf((_EVEN - mean) / np.sqrt(variance))).ravel()
