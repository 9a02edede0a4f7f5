"""How long an epoch takes, from a few timed steps."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING

import torch

from nas.training.trainer import Trainer

if TYPE_CHECKING:
    from torch import nn

    from nas.data.device import DeviceData
    from nas.training.graphs import Recorder
    from nas.training.kernels import FastLayers
    from nas.training.settings import Recipe

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
    """Estimates the wall seconds of an epoch's training and of its validation.

    Takes a second or so of real steps, which change the model's weights.

    Args:
        model: As for ``nas.training.loop.train``.
        data: As there.
        recipe: As there.
        micro_batch: As there.
        layers: As there.
        recorder: As there.

    Returns:
        Seconds of training and of validation.
    """
    trainer = Trainer(
        model, data, recipe, max_epochs=1, micro_batch=micro_batch, layers=layers, recorder=recorder
    )
    trainer.model.train()
    trainer.record(seed=0)
    batches = itertools.chain.from_iterable(trainer.batches(seed) for seed in itertools.count())
    for step in range(_WARM_UP):
        trainer.step(*next(batches), step)
    _wait(data.device)
    began, steps = time.perf_counter(), 0
    while steps < _MIN_STEPS or time.perf_counter() - began < _MIN_SECONDS:
        trainer.step(*next(batches), steps)
        _wait(data.device)
        steps += 1
    per_step = (time.perf_counter() - began) / steps
    began = time.perf_counter()
    trainer.validate()
    return per_step * trainer.steps, time.perf_counter() - began


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
