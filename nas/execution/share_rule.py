"""How many trials share a GPU, from what was measured: a fixed rule, without a clock of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

NUMBERS = (1, 2, 4, 8, 16)  # trials at a time that are tried, as far as they fit
# More trials at a time cost memory, and the optimiser knows less when it chooses: a doubling has to bring
# this much. Without MPS four trials at width 64 brought 1.13 in all (one H200, 41,200 images/s of 36,600).
DOUBLING = 1.2
# What a CUDA context, the libraries' workspaces and a step's fragments take beside PyTorch's own memory.
CONTEXT_BYTES = 800_000_000
SPARE = 0.1  # share of memory that is left alone


@dataclass(frozen=True)
class Level:
    """So many trials at once.

    Attributes:
        trials: How many.
        seconds: What an epoch of each configuration took one of them, seconds.
    """

    trials: int
    seconds: tuple[float, ...]

    @property
    def throughput(self) -> float:
        """Rounds a second of one epoch of each configuration, all trials together."""
        return self.trials / sum(self.seconds)


@dataclass(frozen=True)
class Room:
    """What there is, and what one trial process takes at most.

    Attributes:
        gpu_bytes: GPU memory that is free for trials, one running process's own included.
        gpu_each: PyTorch's peak on the GPU in one process, over the configurations measured.
        host_bytes: Memory of the machine that is available, one process's own included.
        host_each: Resident memory of one process.
        cores: CPU cores for each GPU.
    """

    gpu_bytes: int
    gpu_each: int
    host_bytes: int
    host_each: int
    cores: int


def fitting(room: Room) -> int:
    """Trials that fit, 1 at least."""
    gpu = (1 - SPARE) * room.gpu_bytes / (room.gpu_each + CONTEXT_BYTES)
    host = (1 - SPARE) * room.host_bytes / max(room.host_each, 1)
    return max(1, int(min(gpu, host, room.cores)))


def pays(before: Level, after: Level) -> bool:
    """Whether the step from one number of trials to a larger one brings enough."""
    doublings = math.log2(after.trials / before.trials)
    return after.throughput >= DOUBLING**doublings * before.throughput


def choose(levels: Sequence[Level]) -> Level:
    """The level to take: the last one, from the lowest up, before a step that does not pay.

    Args:
        levels: By rising numbers of trials; the first is one trial.
    """
    best = levels[0]
    for level in levels[1:]:
        if not pays(best, level):
            break
        best = level
    return best
