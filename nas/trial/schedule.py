"""The learning rate as a pure function of the step."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class ConstantSchedule:
    """Linear warm-up, then the peak for ever; meant to go with an average of the weights.

    The average does what annealing would (arXiv 2405.18392), at every rung, and the rate knows of no
    end: a network trained for a rung is an earlier moment of one trained for any larger budget.

    Attributes:
        peak: Learning rate after the warm-up.
        warmup: Steps of warm-up.
    """

    peak: float
    warmup: int

    def __call__(self, step: int) -> float:
        """The learning rate of step ``step``, counted from 0."""
        return self.peak * min((step + 1) / (self.warmup + 1), 1.0)


@dataclass(frozen=True)
class CosineSchedule:
    """Linear warm-up, then half a cosine down to ``floor`` (arXiv 1608.03983), over the largest budget.

    It spans the largest budget whatever the rung, so a promoted network goes on as if it had never
    stopped.

    Attributes:
        peak: Learning rate after the warm-up.
        floor: Learning rate after the last step.
        warmup: Steps of warm-up.
        total: Steps of the largest budget.
    """

    peak: float
    floor: float
    warmup: int
    total: int

    def __call__(self, step: int) -> float:
        """The learning rate of step ``step``, counted from 0."""
        if step < self.warmup:
            return self.peak * (step + 1) / (self.warmup + 1)
        done = (step - self.warmup) / max(self.total - self.warmup, 1)
        return self.floor + (self.peak - self.floor) * (1 + math.cos(math.pi * min(done, 1.0))) / 2
