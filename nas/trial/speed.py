"""The speed of a trainer's steps within a window of time, beside whatever else uses the device."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from nas.trial.loop import reproducible
from nas.util.machine import synchronize

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nas.trial.trainer import Trainer

_WARM_UPS = 2  # steps
_AHEAD = 8  # steps launched before waiting for the device


def warm(trainer: Trainer) -> Iterator[None]:
    """Compiles and selects a network's kernels and records its steps.

    Args:
        trainer: A new trainer; its network's weights change.

    Returns:
        An iterator that makes one more step at a time.
    """
    with reproducible(trainer.data.device):
        trainer.validate()
        steps = trainer.endless()
        for _ in range(_WARM_UPS):
            next(steps)
        synchronize(trainer.data.device)
    return steps


def epoch_seconds(trainer: Trainer, steps: Iterator[None], seconds: float) -> float:
    """Estimates the time of an epoch of training from the steps in a window of time, seconds.

    Args:
        trainer: The trainer, after :func:`warm`.
        steps: The iterator from :func:`warm`.
        seconds: Length of the window; at least one step is made.
    """
    device = trainer.data.device
    with reproducible(device):
        began, made = time.perf_counter(), 0
        while not made or time.perf_counter() - began < seconds:
            next(steps)
            made += 1
            if made % _AHEAD == 0:
                synchronize(device)
        synchronize(device)
    return (time.perf_counter() - began) / made * trainer.steps
