"""Trains one network, epoch by epoch: steps, weight average, validation."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from timm.loss import BinaryCrossEntropy, SoftTargetCrossEntropy
from timm.optim import create_optimizer_v2
from torch import nn
from torch.nn import functional

from nas.awake import AwakeClock
from nas.data.augment import Augmentation, sample_batches, train_batches, val_batches
from nas.training.average import WeightAverage
from nas.training.graphs import recorded
from nas.training.kernels import FastLayers
from nas.training.schedule import ConstantSchedule, CosineSchedule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor
    from torch.optim import Optimizer

    from nas.data.device import DeviceData
    from nas.training.graphs import RecordedPass, Recorder
    from nas.training.settings import Recipe

_MIN_VAL_BATCH = 128
_NORM_IMAGES = 512  # times 16 positions of the last map: some 8,000 values a channel


class Diverged(Exception):
    """Training left the finite numbers.

    Attributes:
        epoch: The epoch it was noticed in, counted from 1.
        reason: One line.
    """

    def __init__(self, epoch: int, reason: str) -> None:
        super().__init__(f"diverged in epoch {epoch}: {reason}")
        self.epoch = epoch
        self.reason = reason


@dataclass(frozen=True)
class EpochMetrics:
    """One row of a learning curve.

    Attributes:
        epoch: Epochs done, this one included.
        train_loss: Mean over the epoch's augmented batches, before each step.
        val_loss: Softmax cross-entropy on the validation part.
        top1: Share of validation images whose first guess is right.
        top5: Likewise among the first five guesses, or all if there are fewer classes.
        lr: Learning rate of the last step.
        train_seconds: Wall seconds of training.
        val_seconds: Wall seconds of validation.
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
    """A network with its optimiser, schedule and weight average.

    Args:
        model: Maps ``(B, C, H, W)`` to logits ``(B, num_classes)``. Moved to the device, channels_last.
        data: Training and validation images on their device.
        recipe: How to train.
        max_epochs: The epochs that a cosine spans.
        micro_batch: Forward at most this many images at once, accumulating gradients; None: a batch.
        recorder: Has the forward and backward pass recorded, if a batch is one micro-batch.
        on_note: Told, in one line, why it is not.
    """

    def __init__(
        self,
        model: nn.Module,
        data: DeviceData,
        recipe: Recipe,
        max_epochs: int,
        micro_batch: int | None = None,
        recorder: Recorder | None = None,
        on_note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.model = model.to(data.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        FastLayers(data.device).install(self.model)
        self.data = data
        self.batch_size = min(recipe.batch_size, len(data.train))
        self.micro_batch = min(max(micro_batch or self.batch_size, 2), self.batch_size)  # batch norm needs 2
        self.steps = len(data.train) // self.batch_size
        self.optimizer = _optimizer(model, recipe)
        self.schedule = _schedule(recipe, self.steps, max_epochs)
        self.average = WeightAverage(self.model, recipe.average) if recipe.average else None
        self._recipe = recipe
        self._recorder, self._on_note = recorder, on_note
        self._recorded: RecordedPass | None = None
        self._bf16 = wants_bf16(recipe.amp, data.device)
        self._loss = _loss(recipe)
        self._clock = AwakeClock()
        self._augmentation = Augmentation(
            crop=recipe.crop,
            flip=recipe.flip,
            mixup=recipe.mixup,
            cutmix=recipe.cutmix,
            smoothing=recipe.smoothing,
        )

    def epoch(self, done: int, seed: int) -> EpochMetrics:
        """Trains and validates one epoch after ``done`` others.

        Raises:
            Diverged: If the training or validation loss is not finite.
        """
        began = self._clock.now()
        self.model.train()
        self.record(seed)
        torch.manual_seed(seed)  # after the recording, so that nothing depends on when that was
        loss_sum = torch.zeros((), device=self.data.device)
        for step, (images, targets) in enumerate(self.batches(seed), start=done * self.steps):
            loss_sum += self.step(images, targets, step)
        train_loss = loss_sum.item() / self.steps  # not finite once any step's loss was not
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

    def batches(self, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch of augmented images ``(B, C, H, W)`` and soft targets ``(B, num_classes)``."""
        return train_batches(self.data, self._augmentation, self.batch_size, seed)

    def validate(self) -> tuple[float, float, float]:
        """Validation loss, top-1 and top-5 of the averaged weights, or the last if none are averaged."""
        batch_size = max(2 * self.micro_batch, _MIN_VAL_BATCH)
        with nullcontext() if self.average is None else self.average.applied():
            estimate_batch_norm(self.model, self.data, batch_size=batch_size, bf16=self._bf16)
            return evaluate(self.model, self.data, batch_size=batch_size, bf16=self._bf16)

    def step(self, images: Tensor, targets: Tensor, step: int) -> Tensor:
        """Update number ``step``, from 0; returns the loss ``()`` without waiting for it."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.schedule(step)
        self.optimizer.zero_grad(set_to_none=True)
        total = (self._recorded or self._eager_pass)(images, targets)
        if self._recipe.clip_grad and self._recipe.optimizer != "lamb":
            nn.utils.clip_grad_norm_(self.model.parameters(), self._recipe.clip_grad)
        self.optimizer.step()
        if self.average is not None:
            self.average.update(step)
        return total

    def record(self, seed: int) -> None:
        """Records the forward and backward pass, once, if a recorder was given and it comes out right."""
        recorder, self._recorder = self._recorder, None
        if recorder is None:
            return
        if self.micro_batch < self.batch_size:
            self._on_note("no CUDA graph: gradients are accumulated over micro-batches")
            return
        found = recorded(self._eager_pass, self.model, *next(self.batches(seed)), recorder, seed)
        if isinstance(found, str):
            self._on_note(f"no CUDA graph: {found}")
        else:
            self._recorded = found

    def close(self) -> None:
        """Gives up the recording and the memory that it holds."""
        self._recorded = None
        self.optimizer.zero_grad(set_to_none=True)

    def _eager_pass(self, images: Tensor, targets: Tensor) -> Tensor:
        """Adds to the gradients; returns the loss ``()``."""
        total = torch.zeros((), device=images.device)
        parts = math.ceil(len(images) / self.micro_batch)
        for some, goals in zip(images.tensor_split(parts), targets.tensor_split(parts), strict=True):
            with torch.autocast(images.device.type, torch.bfloat16, enabled=self._bf16):
                logits = self.model(some)
            loss = self._loss(logits.float(), goals) * (len(some) / len(images))
            loss.backward()
            total += loss.detach()
        return total


@torch.no_grad()
def estimate_batch_norm(
    model: nn.Module, data: DeviceData, *, batch_size: int = 256, bf16: bool = False
) -> None:
    """Sets batch norms' running statistics from training images, unaugmented, for the weights as they are.

    Averaged weights have no statistics of their own, and running ones lag behind by tens of steps: in
    the first epochs on few images they are worthless, and would make configurations with batch norm
    lose to those with layer norm. So they are taken anew (PreciseBN, arXiv 2105.07576). Training itself
    never reads them.

    Args:
        model: On the data's device.
        data: Whose training part; a few hundred images evenly spread over it are used.
        batch_size: Images at once.
        bf16: Forward in bfloat16.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    model.eval()
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.train()
    for number, images in enumerate(sample_batches(data, _NORM_IMAGES, batch_size), start=1):
        for norm in norms:
            norm.momentum = 1 / number  # the plain mean over batches; None would ask the device for it
        with torch.autocast(data.device.type, torch.bfloat16, enabled=bf16):
            model(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()


@torch.no_grad()
def evaluate(
    model: nn.Module, data: DeviceData, *, batch_size: int = 256, bf16: bool = False
) -> tuple[float, float, float]:
    """Judges a network on the validation part.

    Args:
        model: On the data's device; left in evaluation mode.
        data: Whose validation part.
        batch_size: Images at once.
        bf16: Forward in bfloat16.

    Returns:
        Softmax cross-entropy, top-1 and top-5 accuracy (all guesses, if there are fewer classes).
    """
    model.eval()
    guesses = min(5, data.num_classes)
    sums = torch.zeros(3, dtype=torch.float64, device=data.device)
    for images, labels in val_batches(data, batch_size):
        with torch.autocast(data.device.type, torch.bfloat16, enabled=bf16):
            logits = model(images)
        logits = logits.float()
        hits = logits.topk(guesses).indices == labels[:, None]
        sums[0] += functional.cross_entropy(logits, labels, reduction="sum")
        sums[1] += hits[:, 0].sum()
        sums[2] += hits.any(1).sum()
    loss, top1, top5 = (sums / len(data.val)).tolist()
    return loss, top1, top5


def _optimizer(model: nn.Module, recipe: Recipe) -> Optimizer:
    return create_optimizer_v2(
        model, recipe.optimizer, lr=recipe.lr, weight_decay=recipe.weight_decay, momentum=recipe.momentum
    )


def _schedule(recipe: Recipe, steps: int, max_epochs: int) -> Callable[[int], float]:
    """The learning rate by step, ``steps`` of them an epoch."""
    warmup = round(recipe.warmup_epochs * steps)
    if recipe.schedule == "constant":
        return ConstantSchedule(recipe.lr, warmup)
    total = max_epochs * steps
    return CosineSchedule(recipe.lr, min(recipe.min_lr, recipe.lr), min(warmup, total // 2), total)


def _loss(recipe: Recipe) -> nn.Module:
    """Either takes soft targets, ``(B, num_classes)``."""
    if recipe.loss == "bce":
        return BinaryCrossEntropy(smoothing=0.0, target_threshold=recipe.bce_threshold or None)
    return SoftTargetCrossEntropy()


def wants_bf16(amp: str, device: torch.device) -> bool:
    """Whether the forward pass runs in bfloat16: on request, or on a GPU that computes in it."""
    if amp == "auto":
        # CPUs without bfloat16 units emulate it, many times slower than float32.
        return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    return amp == "bf16"
