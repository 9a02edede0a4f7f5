"""A random function half of whose configurations crash, all in the same way."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.quality.drawn import DrawnFunction, coded
from benchmarks.quality.problems import TrueError
from search_spaces.base import config_id

if TYPE_CHECKING:
    from nas.execution.simulated import SimulatedResult
    from search_spaces.base import Config

_STREAM = 1  # apart from what the function is drawn from


class CrashingFunction(DrawnFunction):
    """Configurations above the median of a sum of hidden weights crash in their second epoch.

    The space's default never does: weights that would have it crash are turned round.
    """

    name = "crashing"

    def __init__(self, seed: int) -> None:
        """Draws the function and the weights."""
        super().__init__(seed)
        rng = np.random.default_rng([seed, _STREAM])
        _, codes = coded()
        weight = np.sum(np.array([rng.normal(size=int(np.max(code)) + 1)[code] for code in codes]), axis=0)
        weight -= np.median(weight)
        self.crashes = weight * np.sign(-weight[self.index[config_id(self.space.default)]]) > 0

    def __call__(self, config: Config, epochs: int, seed: int) -> SimulatedResult:
        """Answers for a training, or for one epoch and a crash."""
        given = super().__call__(config, epochs, seed)
        if not self.crashes[self.index[config_id(config)]]:
            return given
        return replace(given, errors=(given.errors[0], *[None] * (epochs - 1)))

    @cached_property
    def optimum(self) -> TrueError:
        """The best of those that can be trained."""
        best = np.min(self.rungs[-1][~self.crashes])
        return TrueError(float(best), super().optimum.full_seconds)
