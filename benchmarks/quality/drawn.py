"""Random functions over the ``nexception`` space: what settings are tuned on, so that tables stay unseen."""

from __future__ import annotations

from functools import cached_property, lru_cache
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

import search_spaces
from benchmarks.quality.problems import TrueError, UnnamedSpace, noise_at
from nas.execution.simulated import Answer
from nas.optimizers.protocol import Fidelity
from search_spaces.base import config_id

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from search_spaces.base import Config

_FIDELITY = Fidelity(2, 18, 3)
_LEVEL, _SPREAD, _NOISE = 0.48, 0.022, 0.011  # error: mean, and standard deviations of configs and seeds
_PAIRS = 0.35  # share of the variance that is between pairs of choices
_SKEW = 0.3  # bad configurations lie further out than good ones
_OWN = {2: 0.7, 6: 0.45, 18: 0.0}  # standard deviation of what only this rung sees, in spreads
_LOSS = {2: 0.22, 6: 0.09, 18: 0.0}  # how much the error is higher there


class DrawnFunction:
    """One draw: main effects and pairs of choices, another such function on top at low rungs, noise."""

    name = "drawn"

    def __init__(self, seed: int, fidelity: Fidelity = _FIDELITY) -> None:
        """Draws a function; ``fidelity``: rungs out of 2, 6 and 18 epochs, the last among them."""
        self.fidelity = fidelity
        self.space = UnnamedSpace()
        rng = np.random.default_rng(seed)
        configs, codes = _codes()
        z = _standard(np.expm1(_SKEW * _field(codes, rng)))
        self._index = {name: i for i, name in enumerate(configs)}
        self._rungs = {
            epochs: _LEVEL + _LOSS[epochs] + _SPREAD * (z + own * _field(codes, rng))
            for epochs, own in _OWN.items()
        }
        self._noise = rng.normal(0, _NOISE, (64, 3)).astype(np.float32)

    def __call__(self, config: Config, epochs: int, seed: int) -> Answer:
        """Errors are made only at the rungs; between them they stand still."""
        i = self._index[config_id(config)]
        noise = noise_at(self._noise, seed)
        errors, level = [], 0.0
        for epoch in range(1, epochs + 1):
            if epoch in (2, 6, 18):
                level = float(self._rungs[epoch][i] + noise[(2, 6, 18).index(epoch)])
            errors.append(level or 0.9)
        kernels = int(config["kernel_mid"]) + int(config["kernel_down"])
        return Answer(tuple(errors), 1.0 + 0.08 * kernels)

    def true_error(self, config: Config) -> float:
        """Error at the highest rung, without noise."""
        return float(self._rungs[18][self._index[config_id(config)]])

    @cached_property
    def optimum(self) -> TrueError:
        """The best there is; a training takes 1 + 0.08 x 12 seconds an epoch on average."""
        return TrueError(float(np.min(self._rungs[18])), 18 * (1 + 0.08 * 12))


@lru_cache(maxsize=1)
def _codes() -> tuple[list[str], list[NDArray[np.int64]]]:
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
