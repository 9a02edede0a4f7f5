"""Trains one network, epoch by epoch: steps, weight average, validation."""

from __future__ import annotations

import itertools
import math
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from timm.loss import BinaryCrossEntropy, SoftTargetCrossEntropy
from timm.optim import create_optimizer_v2

from nas.data.augment import Augmentation
from nas.trial.schedule import ConstantSchedule, CosineSchedule
from nas.trial.step import FixedStep, Parts, PlainStep
from nas.trial.validation import FixedValidation, estimate_batch_norm, evaluate
from nas.trial.weight_average import WeightAverage
from nas.util.awake import AwakeClock
from nas.util.machine import has_bf16

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import nn
    from torch.optim import Optimizer

    from nas.data.device import DeviceData
    from nas.trial.graphs import Recorder
    from nas.trial.kernels import FastLayers
    from nas.trial.settings import Recipe

_MIN_VAL_BATCH = 128


class Diverged(Exception):
    """The loss is not finite.

    Attributes:
        epoch: Epoch in which that was noticed, counted from 1.
        reason: What is not finite, in one line.
    """

    def __init__(self, epoch: int, reason: str) -> None:
        super().__init__(f"diverged in epoch {epoch}: {reason}")
        self.epoch = epoch
        self.reason = reason


@dataclass(frozen=True)
class EpochMetrics:
    """One row of a learning curve.

    Attributes:
        epoch: Number of epochs done, including this one.
        train_loss: Mean loss over the epoch's augmented batches, each before its step.
        val_loss: Softmax cross-entropy on the validation part.
        top1: Share of validation images classified correctly.
        top5: Share whose class is among the five best guesses, or among all if there are fewer classes.
        lr: Learning rate of the last step.
        train_seconds: Wall time of training, seconds.
        val_seconds: Wall time of validation, seconds.
    """

    epoch: int
    train_loss: float
    val_loss: float
    top1: float
    top5: float
    lr: float
    train_seconds: float
    val_seconds: float


class Trainer:
    """A network with its optimizer, schedule and weight average.

    Args:
        model: Maps ``(B, C, H, W)`` to logits ``(B, num_classes)``. Moved to the device, channels_last.
        data: Training and validation images on their device.
        recipe: How to train.
        max_epochs: Epochs that the cosine schedule spans.
        micro_batch: Forward at most this many images at once, accumulating gradients; None: a batch.
        layers: Replaces the network's layers by faster ones; None leaves them.
        recorder: Records steps and validation batches, which then have fixed shapes and keep all they need
            on the device; None: the plain way, whose figures differ by rounding.
        on_note: Called with one line on why a recording is not used.
    """

    def __init__(
        self,
        model: nn.Module,
        data: DeviceData,
        recipe: Recipe,
        max_epochs: int,
        micro_batch: int | None = None,
        layers: FastLayers | None = None,
        recorder: Recorder | None = None,
        on_note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.model = model.to(data.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._bf16 = wants_bf16(recipe.amp, data.device)
        if layers is not None:
            layers.install(self.model, torch.bfloat16 if self._bf16 else torch.float32)
        self.data = data
        self.batch_size = min(recipe.batch_size, len(data.train))
        self.micro_batch = min(max(micro_batch or self.batch_size, 2), self.batch_size)  # batch norm needs 2
        self.steps = len(data.train) // self.batch_size
        self.optimizer = _optimizer(model, recipe)
        self.schedule = _schedule(recipe, self.steps, max_epochs)
        self.average = WeightAverage(self.model, recipe.average) if recipe.average else None
        self._clock = AwakeClock()
        parts = Parts(
            model=self.model,
            data=data,
            augmentation=augmentation_of(recipe),
            batch_size=self.batch_size,
            micro_batch=self.micro_batch,
            loss=soft_loss(recipe.loss, recipe.bce_threshold),
            bf16=self._bf16,
            optimizer=self.optimizer,
            clip=0.0 if recipe.optimizer == "lamb" else recipe.clip_grad,
            average=self.average,
            schedule=lambda step: self.schedule(step),
        )
        self._step = PlainStep(parts) if recorder is None else FixedStep(parts, recorder, on_note)
        self._fixed: FixedValidation | None = None
        if recorder is not None:
            self._fixed = FixedValidation(self.model, data, self.micro_batch, self._bf16, recorder, on_note)

    def epoch(self, done: int, seed: int) -> EpochMetrics:
        """Trains and validates the epoch after ``done`` others.

        Raises:
            Diverged: If the training or validation loss is not finite.
        """
        began = self._clock.now()
        self.begin(done, seed)
        for _ in range(self.steps):
            self.step()
        self._step.end()
        train_loss = self._step.loss_sum.item() / self.steps  # not finite if any step's loss was not
        if not math.isfinite(train_loss):
            raise Diverged(done + 1, f"training loss is {train_loss}")
        trained = self._clock.now()
        val_loss, top1, top5 = self.validate()
        if not math.isfinite(val_loss):
            raise Diverged(done + 1, f"validation loss is {val_loss}")
        return EpochMetrics(
            epoch=done + 1,
            train_loss=train_loss,
            val_loss=val_loss,
            top1=top1,
            top5=top5,
            lr=self.schedule((done + 1) * self.steps - 1),
            train_seconds=trained - began,
            val_seconds=self._clock.now() - trained,
        )

    def begin(self, done: int, seed: int) -> None:
        """Begins the epoch after ``done`` others, which takes ``steps`` calls of :meth:`step`.

        Args:
            done: Number of epochs before it.
            seed: Decides the order of images, augmentation and drop path.
        """
        self.model.train()
        self._step.begin(done, seed)
        torch.manual_seed(seed)

    def step(self) -> None:
        """Makes the epoch's next update without waiting for it."""
        self._step()

    def endless(self) -> Iterator[None]:
        """Yields after each step, epoch after epoch, to time steps."""
        for done in itertools.count():
            self.begin(done, seed=done)
            for _ in range(self.steps):
                self.step()
                yield

    def validate(self) -> tuple[float, float, float]:
        """Returns validation loss, top-1 and top-5 of the averaged weights, or of the last ones."""
        with nullcontext() if self.average is None else self.average.applied():
            if self._fixed is not None:
                return self._fixed()
            batch_size = max(2 * self.micro_batch, _MIN_VAL_BATCH)
            estimate_batch_norm(self.model, self.data, batch_size=batch_size, bf16=self._bf16)
            return evaluate(self.model, self.data, batch_size=batch_size, bf16=self._bf16)

    def evaluated(self) -> dict[str, torch.Tensor]:
        """Returns the validated weights and buffers by name; to be copied before the next step."""
        with nullcontext() if self.average is None else self.average.applied():
            return self.model.state_dict()

    def close(self) -> None:
        """Drops the recordings and frees their memory."""
        self._step.close()
        self._fixed = None


def augmentation_of(recipe: Recipe) -> Augmentation:
    """Builds the augmentation of a recipe."""
    return Augmentation(
        crop=recipe.crop,
        flip=recipe.flip,
        mixup=recipe.mixup,
        cutmix=recipe.cutmix,
        smoothing=recipe.smoothing,
    )


def _optimizer(model: nn.Module, recipe: Recipe) -> Optimizer:
    # timm's "sgd" uses Nesterov momentum, which PyTorch refuses with a momentum of 0.
    name = "momentum" if recipe.optimizer == "sgd" and not recipe.momentum else recipe.optimizer
    return create_optimizer_v2(
        model, name, lr=recipe.lr, weight_decay=recipe.weight_decay, momentum=recipe.momentum
    )


def _schedule(recipe: Recipe, steps: int, max_epochs: int) -> Callable[[int], float]:
    """Builds the schedule by step, with ``steps`` steps per epoch."""
    warmup = round(recipe.warmup_epochs * steps)
    if recipe.schedule == "constant":
        return ConstantSchedule(recipe.lr, warmup)
    total = max_epochs * steps
    return CosineSchedule(recipe.lr, min(recipe.min_lr, recipe.lr), min(warmup, total // 2), total)


def soft_loss(name: str, bce_threshold: float) -> nn.Module:
    """Builds the loss ``ce`` or ``bce``, which takes soft targets ``(B, num_classes)``."""
    if name == "bce":
        return BinaryCrossEntropy(smoothing=0.0, target_threshold=bce_threshold or None)
    return SoftTargetCrossEntropy()


def wants_bf16(amp: str, device: torch.device) -> bool:
    """Whether the forward pass runs in bfloat16: on request, or on a GPU that supports it."""
    return has_bf16(device) if amp == "auto" else amp == "bf16"
