"""Estimates the time of an epoch from a few timed steps."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from nas.trial.trainer import Trainer
from nas.util.machine import synchronize

if TYPE_CHECKING:
    from torch import nn

    from nas.data.device import DeviceData
    from nas.trial.graphs import Recorder
    from nas.trial.kernels import FastLayers
    from nas.trial.settings import Recipe

_WARM_UP = 2
_MIN_STEPS = 3
_MIN_SECONDS = 1.0


def epoch_seconds(
    model: nn.Module,
    data: DeviceData,
    recipe: Recipe,
    micro_batch: int | None = None,
    layers: FastLayers | None = None,
    recorder: Recorder | None = None,
) -> tuple[float, float]:
    """Estimates the wall time of an epoch's training and of its validation.

    Makes about a second of real steps, which change the model's weights.

    Args:
        model: See :func:`nas.trial.loop.train`.
        data: See :func:`nas.trial.loop.train`.
        recipe: See :func:`nas.trial.loop.train`.
        micro_batch: See :func:`nas.trial.loop.train`.
        layers: See :func:`nas.trial.loop.train`.
        recorder: See :func:`nas.trial.loop.train`.

    Returns:
        Time of training and of validation, seconds.
    """
    trainer = Trainer(
        model, data, recipe, max_epochs=1, micro_batch=micro_batch, layers=layers, recorder=recorder
    )
    step = trainer.endless()
    for _ in range(_WARM_UP):
        next(step)
    synchronize(data.device)
    began, steps = time.perf_counter(), 0
    while steps < _MIN_STEPS or time.perf_counter() - began < _MIN_SECONDS:
        next(step)
        synchronize(data.device)
        steps += 1
    per_step = (time.perf_counter() - began) / steps
    if data.device.type == "cuda":
        trainer.validate()  # the first one prepares kernels and records
    began = time.perf_counter()
    trainer.validate()
    val_seconds = time.perf_counter() - began
    trainer.close()
    return per_step * trainer.steps, val_seconds
