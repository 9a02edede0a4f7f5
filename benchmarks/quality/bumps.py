"""Functions of numbers or levels: sums of bumps, as Hartmann's is one, with the best point known."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from scipy.optimize import minimize

from benchmarks.quality.problems import TabularSpace, TrueError, noise_at
from nas.execution.simulated import SimulatedResult
from nas.optimizers.protocol import Fidelity
from search_spaces.base import Float, Hyperparameter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from search_spaces.base import Config

    Vector = NDArray[np.float64]

_DIMENSIONS = 6
_BUMPS = 8
_LEVELS = 10
_LEVEL, _HEIGHT = 0.1, 0.8  # error at the best point, and how much worse is far away from all bumps
_NOISE = 0.005  # standard deviation between seeds


class ContinuousSpace(TabularSpace):
    """Six numbers from 0 to 1."""

    name = "continuous"
    hyperparameters: ClassVar[Mapping[str, Float]] = {
        f"x{i}": Float(f"x{i}", 0.0, 1.0, default=0.5) for i in range(_DIMENSIONS)
    }


class GradedSpace(TabularSpace):
    """Five ordered choices of ten levels each."""

    name = "graded"
    hyperparameters: ClassVar[Mapping[str, Hyperparameter]] = {
        f"x{i}": Hyperparameter(f"x{i}", tuple(range(_LEVELS)), default=_LEVELS // 2, ordinal=True)
        for i in range(5)
    }


class Bumps:
    """A sum of bumps with one rung: weights ``(K,)``, sharpness ``(K, D)`` and centres ``(K, D)``.

    Its error is 0.1 at the best point and 0.9 far from all bumps.
    """

    fidelity = Fidelity(1, 1)

    def __init__(self, name: str, weights: Vector, sharpness: Vector, centres: Vector, seed: int) -> None:
        """Takes the bumps; the seed is that of the noise."""
        self.name, self.space = name, GradedSpace() if name == "graded" else ContinuousSpace()
        self._scale = _LEVELS - 1.0 if name == "graded" else 1.0
        self._weights, self._sharpness, self._centres = weights, sharpness, centres
        self._noise = np.random.default_rng([seed, 1]).normal(0, _NOISE, (64, 1)).astype(np.float32)

    @classmethod
    def drawn(cls, seed: int, *, graded: bool = False) -> Bumps:
        """Eight bumps, some narrow and some wide, at random places; ``graded``: over levels."""
        rng = np.random.default_rng(seed)
        shape = _BUMPS, len(GradedSpace.hyperparameters) if graded else _DIMENSIONS
        weights = rng.uniform(1, 3, _BUMPS)
        sharpness = 10 ** rng.uniform(-0.5, 1.2, shape)
        name = "graded" if graded else "continuous"
        return cls(name, weights, sharpness, rng.uniform(0, 1, shape), seed)

    @classmethod
    def hartmann(cls, seed: int) -> Bumps:
        """Hartmann's function of six numbers (Dixon and Szegö, 1978), axes in random order and direction."""
        rng = np.random.default_rng(seed)
        order, turned = rng.permutation(_DIMENSIONS), rng.random(_DIMENSIONS) < 0.5
        centres = _CENTRES[:, order]
        return cls("hartmann", _WEIGHTS, _SHARPNESS[:, order], np.where(turned, 1 - centres, centres), seed)

    def value(self, x: Vector) -> float:
        """The sum of the bumps at a point ``(D,)`` of the unit cube."""
        return float(self._weights @ np.exp(-(self._sharpness * (x - self._centres) ** 2).sum(axis=1)))

    @cached_property
    def highest(self) -> float:
        """The greatest sum, found by climbing from every bump's centre, or among all levels."""
        if self.name == "graded":
            grid = np.linspace(0, 1, _LEVELS)
            # Bumps are products over hyperparameters: the sum at every point is one product of tensors.
            parts = np.exp(-self._sharpness[..., None] * (grid - self._centres[..., None]) ** 2)
            return float(np.einsum("k,ka,kb,kc,kd,ke->abcde", self._weights, *parts.transpose(1, 0, 2)).max())
        starts = np.clip(self._centres, 0, 1)
        bounds = [(0, 1)] * _DIMENSIONS
        climbs = [minimize(lambda x: -self.value(x), x, bounds=bounds, tol=1e-12) for x in starts]
        return -min(float(climb.fun) for climb in climbs)

    def __call__(self, config: Config, epochs: int, seed: int) -> SimulatedResult:
        """Answers for a training, which takes a second an epoch."""
        error = self.true_error(config) + float(noise_at(self._noise, seed)[0])
        return SimulatedResult((min(max(error, 0.0), 1.0),) * epochs, 1.0)

    def true_error(self, config: Config) -> float:
        """Error without noise."""
        x = np.array([float(config[name]) for name in self.space.hyperparameters]) / self._scale
        return _LEVEL + _HEIGHT * (1 - self.value(x) / self.highest)

    @cached_property
    def optimum(self) -> TrueError:
        """The best there is."""
        return TrueError(_LEVEL, 1.0)


_WEIGHTS = np.array([1.0, 1.2, 3.0, 3.2])
_SHARPNESS = np.array(
    [
        [10, 3, 17, 3.5, 1.7, 8],
        [0.05, 10, 17, 0.1, 8, 14],
        [3, 3.5, 1.7, 10, 17, 8],
        [17, 8, 0.05, 10, 0.1, 14],
    ]
)
_CENTRES = 1e-4 * np.array(
    [
        [1312, 1696, 5569, 124, 8283, 5886],
        [2329, 4135, 8307, 3736, 1004, 9991],
        [2348, 1451, 3522, 2883, 3047, 6650],
        [4047, 8828, 8732, 5743, 1091, 381],
    ]
)
