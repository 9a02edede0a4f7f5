"""Random functions over spaces of any size, whose best configuration is known exactly.

A value is a sum over hyperparameters in a random order: an effect of each choice, and an interaction with
its neighbour's choice. So the best of 10^15 configurations is found by dynamic programming (Viterbi, 1967).
"""

from __future__ import annotations

import math
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from benchmarks.quality.drawn import FIDELITY, LEVEL, SKEW, SPREAD, USUAL, Shape, answer
from benchmarks.quality.problems import TabularSpace, TrueError, noise_at
from search_spaces.base import Hyperparameter

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from nas.execution.simulated import SimulatedResult
    from search_spaces.base import Config

_PAIRS = 0.35  # share of the variance that lies between neighbours


def _choices(sizes: Sequence[int]) -> dict[str, Hyperparameter]:
    names = [f"part{i}" for i in range(len(sizes))]
    letters = "abcdefgh"
    return {
        name: Hyperparameter(name, tuple(letters[:size]), default=letters[size // 2])
        for name, size in zip(names, sizes, strict=True)
    }


class SmallSpace(TabularSpace):
    """Twenty-four configurations."""

    name = "small"
    hyperparameters: ClassVar[Mapping[str, Hyperparameter]] = _choices((2, 3, 4))


class HugeSpace(TabularSpace):
    """Thirty hyperparameters."""

    name = "huge"
    hyperparameters: ClassVar[Mapping[str, Hyperparameter]] = _choices([2 + i % 4 for i in range(30)])


class Chain:
    """A sum along a chain of hyperparameters, mean 0 and variance 1 over all configurations."""

    def __init__(self, sizes: Sequence[int], rng: np.random.Generator) -> None:
        """Draws the order of the chain, the effects and the interactions."""
        self._order = rng.permutation(len(sizes))
        ordered = [sizes[i] for i in self._order]
        singles = [_centred(rng.exponential() * rng.normal(size=size)) for size in ordered]
        pairs = [_doubly_centred(rng.exponential() * rng.normal(size=two)) for two in pairwise(ordered)]
        self._singles = _scaled(singles, 1 - _PAIRS)
        self._pairs = _scaled(pairs, _PAIRS)

    def value(self, codes: Sequence[int]) -> float:
        """The sum for the choices' numbers."""
        ordered = [codes[i] for i in self._order]
        alone = sum(float(part[code]) for part, code in zip(self._singles, ordered, strict=True))
        beside = zip(self._pairs, ordered, ordered[1:], strict=False)
        return alone + sum(float(part[a, b]) for part, a, b in beside)

    @property
    def least(self) -> float:
        """The least value there is."""
        best = self._singles[0]
        for pair, single in zip(self._pairs, self._singles[1:], strict=True):
            best = np.min(best[:, None] + pair, axis=0) + single
        return float(np.min(best))


class ChainFunction:
    """A chain as a problem: skewed, with rungs that see more than it, and noise between seeds."""

    def __init__(self, space: TabularSpace, seed: int, shape: Shape = USUAL) -> None:
        """Draws a function over a space; rungs are 2, 6 and 18 epochs."""
        self.space, self.fidelity, self.name = space, FIDELITY, space.name
        self._shape = shape
        rng = np.random.default_rng(seed)
        sizes = [len(h.choices) for h in space.hyperparameters.values()]
        self._chain = Chain(sizes, rng)
        self._own = [Chain(sizes, rng) for _ in shape.own]
        self._noise = rng.normal(0, shape.noise, (64, 3)).astype(np.float32)

    def __call__(self, config: Config, epochs: int, seed: int) -> SimulatedResult:
        """Answers for a training; an epoch takes a second."""
        codes = self._codes(config)
        own = iter(self._own)

        def field() -> NDArray[np.float32]:
            return np.array([next(own).value(codes)], np.float32)

        z = np.array([_skewed(self._chain.value(codes))], np.float32)
        low, middle, high = (float(errors[0]) for errors in self._shape.rungs(z, field))
        return answer((low, middle, high), noise_at(self._noise, seed), epochs, 1.0)

    def true_error(self, config: Config) -> float:
        """Error at the highest rung, without noise."""
        return LEVEL + SPREAD * _skewed(self._chain.value(self._codes(config)))

    @cached_property
    def optimum(self) -> TrueError:
        """The best there is."""
        return TrueError(LEVEL + SPREAD * _skewed(self._chain.least), float(self.fidelity.max_epochs))

    def _codes(self, config: Config) -> list[int]:
        return [h.choices.index(config[name]) for name, h in self.space.hyperparameters.items()]


def _skewed(z: float) -> float:
    return math.expm1(SKEW * z) / SKEW


def _centred(worth: NDArray[np.float64]) -> NDArray[np.float64]:
    return worth - worth.mean()


def _doubly_centred(worth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Without what either of the two is worth alone, so that variances add up."""
    return worth - worth.mean(axis=0) - worth.mean(axis=1, keepdims=True) + worth.mean()


def _scaled(parts: list[NDArray[np.float64]], variance: float) -> list[NDArray[np.float64]]:
    found = sum(float((part**2).mean()) for part in parts)
    return [part * math.sqrt(variance / found) for part in parts]
