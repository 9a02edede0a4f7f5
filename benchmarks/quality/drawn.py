"""Random functions over the ``nexception`` space: what settings are tuned on, so that tables stay unseen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

import search_spaces
from benchmarks.quality.problems import TrueError, UnnamedSpace, noise_at
from nas.execution.simulated import SimulatedResult
from nas.optimizers.protocol import Fidelity
from search_spaces.base import config_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from search_spaces.base import Config

EPOCHS = (2, 6, 18)
FIDELITY = Fidelity(2, 18, 3)
LEVEL, SPREAD = 0.48, 0.022  # error: mean, and standard deviation of configurations
_PAIRS = 0.35  # share of the variance that is between pairs of choices
SKEW = 0.3  # bad configurations lie further out than good ones
_LOSS = (0.22, 0.09, 0.0)  # how much the error is higher at each rung


@dataclass(frozen=True)
class Shape:
    """How the rungs of 2, 6 and 18 epochs relate to a function; sizes are in its standard deviations.

    Attributes:
        share: Weight of the highest rung's function.
        own: Weight of a function that only this rung sees.
        floor: Below this error low rungs cannot tell configurations apart.
        noise: Standard deviation between seeds, as an error.
    """

    share: tuple[float, float, float] = (1.0, 1.0, 1.0)
    own: tuple[float, float, float] = (0.7, 0.45, 0.0)
    floor: float = -math.inf
    noise: float = 0.011

    def rungs(
        self, z: NDArray[np.float32], field: Callable[[], NDArray[np.float32]]
    ) -> list[NDArray[np.float32]]:
        """Errors at each rung, from what counts at the highest and draws of what only the others see."""
        low = np.maximum(z, np.float32(self.floor))
        seen = [low, low, z]
        return [
            LEVEL + loss + SPREAD * (share * part + own * field())
            for loss, share, own, part in zip(_LOSS, self.share, self.own, seen, strict=True)
        ]


USUAL = Shape()


def answer(
    errors: tuple[float, float, float], noise: NDArray[np.float32], epochs: int, seconds: float
) -> SimulatedResult:
    """Errors are made only at the rungs; between them they stand still."""
    curve, level = [], 0.0
    for epoch in range(1, epochs + 1):
        if epoch in EPOCHS:
            rung = EPOCHS.index(epoch)
            level = float(np.clip(errors[rung] + noise[rung], 0.0, 1.0))
        curve.append(level or 0.9)
    return SimulatedResult(tuple(curve), seconds)


class DrawnFunction:
    """One draw: main effects and pairs of choices, another such function on top at low rungs, noise."""

    name = "drawn"

    def __init__(self, seed: int, fidelity: Fidelity = FIDELITY, shape: Shape = USUAL) -> None:
        """Draws a function; ``fidelity``: rungs out of 2, 6 and 18 epochs, the last among them."""
        self.fidelity = fidelity
        self.space = UnnamedSpace()
        rng = np.random.default_rng(seed)
        names, codes = coded()
        z = _standard(np.expm1(SKEW * _field(codes, rng)))
        self.index = {name: i for i, name in enumerate(names)}
        self.rungs = shape.rungs(z, lambda: _field(codes, rng))
        self._noise = rng.normal(0, shape.noise, (64, 3)).astype(np.float32)

    def __call__(self, config: Config, epochs: int, seed: int) -> SimulatedResult:
        """Answers for a training."""
        i = self.index[config_id(config)]
        low, middle, high = (float(errors[i]) for errors in self.rungs)
        kernels = int(config["kernel_mid"]) + int(config["kernel_down"])
        return answer((low, middle, high), noise_at(self._noise, seed), epochs, 1.0 + 0.08 * kernels)

    def true_error(self, config: Config) -> float:
        """Error at the highest rung, without noise."""
        return float(self.rungs[-1][self.index[config_id(config)]])

    @cached_property
    def optimum(self) -> TrueError:
        """The best there is; a training takes 1 + 0.08 x 12 seconds an epoch on average."""
        return TrueError(float(np.min(self.rungs[-1])), 18 * (1 + 0.08 * 12))


@lru_cache(maxsize=1)
def coded() -> tuple[list[str], list[NDArray[np.int64]]]:
    """Names of all configurations, and by hyperparameter which of its choices each has."""
    space = search_spaces.get("nexception")
    configs = list(space.enumerate())
    codes = [
        np.array([h.choices.index(config[name]) for config in configs])
        for name, h in space.hyperparameters.items()
    ]
    return [config_id(config) for config in configs], codes


def _field(codes: list[NDArray[np.int64]], rng: Any) -> NDArray[np.float32]:
    """A function of mean 0 and variance 1 over all configurations."""
    sizes = [int(np.max(code)) + 1 for code in codes]
    main, pairs = np.zeros(len(codes[0])), np.zeros(len(codes[0]))
    for code, size in zip(codes, sizes, strict=True):
        main += rng.exponential() * rng.normal(size=size)[code]
    for (a, m), (b, n) in combinations(zip(codes, sizes, strict=True), 2):
        pairs += rng.exponential() ** 2 * rng.normal(size=(m, n))[a, b]
    return _standard(np.sqrt(1 - _PAIRS) * _standard(main) + np.sqrt(_PAIRS) * _standard(pairs))


def _standard(z: NDArray[Any]) -> NDArray[np.float32]:
    return ((z - z.mean()) / z.std()).astype(np.float32)
