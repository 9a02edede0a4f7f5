"""Decides from measurements how many trials share a GPU; a pure function, free of clocks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

NUMBERS = (1, 2, 4, 8, 16)  # numbers of trials that are measured, as far as they fit
# More trials at a time cost memory, and the optimiser knows less when it chooses: a doubling has to bring
# this much. Without MPS four trials at width 64 brought 1.13 in all (one H200, 41,200 images/s of 36,600).
DOUBLING = 1.2
# Memory of a CUDA context, the libraries' workspaces and fragmentation, besides what PyTorch counts.
CONTEXT_BYTES = 800_000_000
SPARE = 0.1  # share of memory that stays free


@dataclass(frozen=True)
class Level:
    """The measured speed of a number of trials at once.

    Attributes:
        trials: The number of trials.
        seconds: Time of an epoch in one trial, for each configuration.
    """

    trials: int
    seconds: tuple[float, ...]

    @property
    def throughput(self) -> float:
        """Epochs per second of all trials together, an epoch of every configuration counting as one."""
        return self.trials / sum(self.seconds)


@dataclass(frozen=True)
class Capacity:
    """The resources available, and the most that one trial process takes.

    Attributes:
        gpu_bytes: GPU memory available to trials, including that of the one running process.
        gpu_each: PyTorch's peak memory on the GPU in one process, over the measured configurations.
        host_bytes: Available memory of the machine, including that of the one running process.
        host_each: Resident memory of one process.
        cores: Number of CPU cores per GPU.
    """

    gpu_bytes: int
    gpu_each: int
    host_bytes: int
    host_each: int
    cores: int


def fitting(capacity: Capacity) -> int:
    """Returns how many trials fit, at least 1."""
    gpu = (1 - SPARE) * capacity.gpu_bytes / (capacity.gpu_each + CONTEXT_BYTES)
    host = (1 - SPARE) * capacity.host_bytes / max(capacity.host_each, 1)
    return max(1, int(min(gpu, host, capacity.cores)))


def pays(before: Level, after: Level) -> bool:
    """Whether going from one number of trials to a larger one gains enough throughput."""
    doublings = math.log2(after.trials / before.trials)
    return after.throughput >= DOUBLING**doublings * before.throughput


def choose(levels: Sequence[Level]) -> Level:
    """Chooses the last level, from the lowest up, before a step that does not pay.

    Args:
        levels: Levels in ascending numbers of trials, beginning with one trial.
    """
    best = levels[0]
    for level in levels[1:]:
        if not pays(best, level):
            break
        best = level
    return best
