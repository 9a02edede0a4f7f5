"""The learning rate as a pure function of the step."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class ConstantSchedule:
    """Linear warm-up, then constant at the peak; meant to go with an average of the weights.

    The average takes the place of annealing (arXiv 2405.18392) at every rung, and the rate does not depend on
    the number of epochs: a network trained to one rung is an earlier state of one trained to any higher rung.

    Attributes:
        peak: Learning rate after the warm-up.
        warmup: Steps of warm-up.
    """

    peak: float
    warmup: int

    def __call__(self, step: int) -> float:
        """Returns the learning rate of step ``step``, counted from 0."""
        return self.peak * min((step + 1) / (self.warmup + 1), 1.0)


@dataclass(frozen=True)
class CosineSchedule:
    """Linear warm-up, then half a cosine down to ``floor`` (arXiv 1608.03983) at the highest rung.

    It spans the epochs of the highest rung whatever a trial's rung, so a promoted network continues as if it
    had never stopped.

    Attributes:
        peak: Learning rate after the warm-up.
        floor: Learning rate after the last step.
        warmup: Steps of warm-up.
        total: Steps of the highest rung.
    """

    peak: float
    floor: float
    warmup: int
    total: int

    def __call__(self, step: int) -> float:
        """Returns the learning rate of step ``step``, counted from 0."""
        if step < self.warmup:
            return self.peak * (step + 1) / (self.warmup + 1)
        done = (step - self.warmup) / max(self.total - self.warmup, 1)
        return self.floor + (self.peak - self.floor) * (1 + math.cos(math.pi * min(done, 1.0))) / 2
