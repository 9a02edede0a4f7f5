"""The speed of a trainer's steps within a window of time, beside whatever else uses the device."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch

from nas.trial.loop import reproducible

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nas.trial.trainer import Trainer

_WARM_UPS = 2  # steps
_AHEAD = 8  # steps that may be launched before the device is waited for


def warm(trainer: Trainer) -> Iterator[None]:
    """Has a network's kernels compiled and chosen, and its steps recorded.

    Args:
        trainer: New; its network's weights change.

    Returns:
        More steps, each made as it is asked for.
    """
    with reproducible(trainer.data.device):
        trainer.validate()
        steps = trainer.endless()
        for _ in range(_WARM_UPS):
            next(steps)
        _wait(trainer.data.device)
    return steps


def epoch_seconds(trainer: Trainer, steps: Iterator[None], seconds: float) -> float:
    """What an epoch of training takes, from the steps of a window.

    Args:
        trainer: Warm.
        steps: As :func:`warm` gave them.
        seconds: Length of the window; one step is made at least.
    """
    device = trainer.data.device
    with reproducible(device):
        began, made = time.perf_counter(), 0
        while not made or time.perf_counter() - began < seconds:
            next(steps)
            made += 1
            if made % _AHEAD == 0:
                _wait(device)
        _wait(device)
    return (time.perf_counter() - began) / made * trainer.steps


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
