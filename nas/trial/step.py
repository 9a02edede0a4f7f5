"""One step of training in two forms: plain, and with all its inputs in tensors at fixed addresses."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from nas.data.augment import BatchMaker, EpochPlan, train_batches
from nas.trial.graphs import recorded
from nas.trial.updates import rule_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor
    from torch.optim import Optimizer

    from nas.data.augment import Augmentation
    from nas.data.device import DeviceData
    from nas.trial.graphs import Recorder
    from nas.trial.weight_average import WeightAverage


@dataclass(frozen=True, eq=False)
class Parts:
    """The parts of a training step.

    Attributes:
        model: The network, on the device of the data.
        data: The data; its training part is used.
        augmentation: Augmentation of the images.
        batch_size: Images per step.
        micro_batch: Images per forward pass.
        loss: Loss of logits and soft targets, both ``(B, num_classes)``.
        bf16: Whether the forward pass is in bfloat16.
        optimizer: Updates the weights.
        clip: Maximum norm of all gradients together; 0 does not clip.
        average: Average of the weights, if any.
        schedule: Learning rate by step.
    """

    model: nn.Module
    data: DeviceData
    augmentation: Augmentation
    batch_size: int
    micro_batch: int
    loss: nn.Module
    bf16: bool
    optimizer: Optimizer
    clip: float
    average: WeightAverage | None
    schedule: Callable[[int], float]

    @property
    def steps(self) -> int:
        """Number of steps per epoch."""
        return len(self.data.train) // self.batch_size

    def gradients(self, images: Tensor, targets: Tensor) -> Tensor:
        """Sets the gradients, clipped; returns the loss ``()`` without waiting for it.

        Args:
            images: Images ``(B, C, H, W)``, split into even parts of at most ``micro_batch``.
            targets: Soft targets ``(B, num_classes)``.
        """
        self.optimizer.zero_grad(set_to_none=True)
        total = torch.zeros((), device=images.device)
        parts = math.ceil(len(images) / self.micro_batch)
        for some, goals in zip(images.tensor_split(parts), targets.tensor_split(parts), strict=True):
            with torch.autocast(images.device.type, torch.bfloat16, enabled=self.bf16):
                logits = self.model(some)
            loss = self.loss(logits.float(), goals) * (len(some) / len(images))
            loss.backward()
            total += loss.detach()
        if self.clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        return total


class PlainStep:
    """The plain form of a step, which sends its learning rate to the device each time."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._batches: Iterator[tuple[Tensor, Tensor]] = iter(())
        self._done = 0
        self.loss_sum = torch.zeros((), device=parts.data.device)

    def begin(self, done: int, seed: int) -> None:
        """Begins the epoch after ``done`` others; ``seed`` decides everything random about its images."""
        parts = self._parts
        self._batches = train_batches(parts.data, parts.augmentation, parts.batch_size, seed)
        self._done = done * parts.steps
        self.loss_sum.zero_()

    def __call__(self) -> None:
        """Makes the next step of the epoch and adds its loss to ``loss_sum``."""
        parts = self._parts
        images, targets = next(self._batches)
        for group in parts.optimizer.param_groups:
            group["lr"] = parts.schedule(self._done)
        loss = parts.gradients(images, targets)
        parts.optimizer.step()
        if parts.average is not None:
            parts.average.update(self._done)
        self.loss_sum += loss
        self._done += 1

    def end(self) -> None:
        """Ends an epoch."""

    def close(self) -> None:
        """Frees the memory that it holds."""
        self._parts.optimizer.zero_grad(set_to_none=True)


class FixedStep:
    """A step whose inputs, including its number, are in tensors at fixed addresses.

    An epoch's random choices and the numbers that its steps need are copied into them at its start. A step
    reads the entries of its number and increments the number, so that it needs nothing from the host and a
    recording of one step can be replayed as any step.

    Args:
        parts: The parts of the step.
        recorder: Records the step at the start of the first epoch.
        on_note: Called with one line on why a recording is not used.
    """

    def __init__(self, parts: Parts, recorder: Recorder, on_note: Callable[[str], None]) -> None:
        device = parts.data.device
        self._parts, self._recorder, self._on_note = parts, recorder, on_note
        self._make = BatchMaker(parts.data, parts.augmentation)
        self._rule = rule_of(parts.optimizer)
        self._position = torch.zeros(1, dtype=torch.int64, device=device)
        self.loss_sum = torch.zeros((), device=device)
        self._done = 0
        self._plan: EpochPlan | None = None
        self._numbers: Tensor | None = None
        self._step: Callable[[], None] | None = None

    def begin(self, done: int, seed: int) -> None:
        """Begins the epoch after ``done`` others; ``seed`` decides everything random about its images."""
        parts, device = self._parts, self._parts.data.device
        self._done = done * parts.steps
        plan = EpochPlan.draw(parts.data.train, parts.augmentation, seed).split(parts.batch_size)
        numbers = torch.tensor([self._row(self._done + step) for step in range(parts.steps)])
        if self._plan is None or self._numbers is None:
            self._plan, self._numbers = plan.to(device), numbers.to(device)
        else:
            self._plan.copy_(plan)
            self._numbers.copy_(numbers, non_blocking=True)
        self._position.zero_()
        self.loss_sum.zero_()
        if self._step is None:
            self._rule.prepare()
            self._step = self._recorded(seed)

    def __call__(self) -> None:
        """Makes the next step of the epoch and adds its loss to ``loss_sum``."""
        assert self._step is not None, "an epoch has begun"
        self._step()

    def end(self) -> None:
        """Ends an epoch: copies the counts on the device to the optimizer's state."""
        last = self._done + self._parts.steps
        self._rule.counted(self._parts.schedule(last - 1), last)

    def close(self) -> None:
        """Drops the recording and frees its memory."""
        self._step = None
        self._parts.optimizer.zero_grad(set_to_none=True)

    def _row(self, step: int) -> list[float]:
        average = self._parts.average
        return [
            0.0 if average is None else average.weight(step),
            *self._rule.rows(self._parts.schedule(step), step + 1),
        ]

    def _recorded(self, seed: int) -> Callable[[], None]:
        model, average = self._parts.model, self._parts.average
        state: dict[str, Sequence[Tensor]] = {
            "loss": [self.loss_sum],
            "buffers": list(model.buffers()),
            **self._rule.tensors,
            "weights": list(model.parameters()),
            "average": [] if average is None else average.tensors,
            "position": [self._position],
        }
        found = recorded(self._run, state, self._recorder, self._parts.data.device, seed)
        if isinstance(found, str):
            self._on_note(f"no CUDA graph of a step: {found}")
            return self._run
        return found

    def _run(self) -> None:
        assert self._plan is not None
        assert self._numbers is not None
        parts = self._parts
        average, *numbers = self._numbers.index_select(0, self._position)[0].unbind()
        images, targets = self._make(self._plan.batch(self._position))
        loss = parts.gradients(images, targets)
        self._rule.update(numbers)
        if parts.average is not None:
            parts.average.blend(average)
        self.loss_sum.add_(loss)
        self._position.add_(1).remainder_(parts.steps)  # stays in range however often it runs
        parts.optimizer.zero_grad(set_to_none=True)
