"""A full-size network with its optimizer, schedule and weight average, on one or many devices."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils import set_seed
from timm.data import Mixup
from timm.layers import convert_sync_batchnorm
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.utils import ModelEmaV3, distribute_bn
from torch import nn
from torch.nn import functional

from nas.train.compiling import compiled
from nas.trial.trainer import soft_loss
from nas.util.errors import SettingError
from nas.util.seeds import derive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from accelerate import Accelerator
    from torch import Tensor

    from nas.export.recipe import Recipe

State = dict[str, Any]
_NEVER = 1e9  # epochs until a constant learning rate falls
_LOOK_EVERY = 20  # updates between readings of the loss, each of which waits for the device


class Trainer:
    """Trains update by update; every update draws from a seed of its own, so nothing of the past matters
    but weights, averages and moments.

    Args:
        accelerator: Accelerate's handle of precision and processes.
        device: Device of this process.
        model: Maps ``(B, C, H, W)`` to logits ``(B, num_classes)``.
        recipe: How to train.
        num_classes: Width of the classifier.
        updates: Updates an epoch.
        seed: Decides mixing, erasing and dropping.
        finish: Makes what the network takes of a batch on its device.
        sync_bn: Let batch norms take their statistics over all processes' images.

    Raises:
        UserError: If timm does not know the optimizer.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        device: torch.device,
        model: nn.Module,
        recipe: Recipe,
        num_classes: int,
        updates: int,
        seed: int,
        finish: Callable[[Tensor], Tensor],
        *,
        sync_bn: bool = False,
    ) -> None:
        self._accelerator = accelerator
        self._device = device
        self._recipe = recipe
        self._classes = num_classes
        self._updates = updates
        self._seed = seed
        self._finish = finish
        if sync_bn and accelerator.num_processes > 1:
            model = convert_sync_batchnorm(model)
        model = model.to(memory_format=torch.channels_last)
        try:
            optimizer = create_optimizer_v2(
                model, recipe.opt, lr=recipe.lr, weight_decay=recipe.weight_decay, momentum=recipe.momentum
            )
        except (ValueError, AssertionError, KeyError) as error:
            raise SettingError("opt", recipe.opt, "must be one of timm's, such as lamb or adamw") from error
        self._schedule, _ = create_scheduler_v2(
            optimizer,
            sched="cosine" if recipe.schedule == "cosine" else "step",
            decay_epochs=_NEVER,
            num_epochs=recipe.epochs,
            warmup_epochs=min(recipe.warmup_epochs, recipe.epochs / 2),  # type: ignore[arg-type]  # timm multiplies
            warmup_lr=recipe.warmup_lr,
            min_lr=min(recipe.min_lr, recipe.lr),
            cooldown_epochs=recipe.cooldown_epochs,
            step_on_epochs=False,
            updates_per_epoch=updates,
        )
        self.model, self._optimizer = accelerator.prepare(model, optimizer)
        self._call: Callable[[Tensor], Any] = self.model
        self._average = _average(self.plain, recipe)
        self._loss = soft_loss(recipe.loss, recipe.bce_threshold)
        self._mix = _mixing(recipe, num_classes)
        self._sum = torch.zeros((), device=device)

    @property
    def plain(self) -> nn.Module:
        """The network without its wrappers."""
        # Compiled networks have other names of weights, and could not be loaded plainly.
        model: nn.Module = self._accelerator.unwrap_model(self.model, keep_torch_compile=False)
        return model

    @property
    def evaluated(self) -> nn.Module:
        """The network that is validated and kept: the average if there is one."""
        return self.plain if self._average is None else self._average.module

    @property
    def lr(self) -> float:
        """Learning rate of the last update."""
        rate: float = self._optimizer.param_groups[0]["lr"]
        return rate

    def compile(self, shape: tuple[int, int, int, int]) -> str:
        """Trains the network compiled from now on.

        Args:
            shape: Shape of the batches, ``(B, C, H, W)``.

        Returns:
            Why it is trained as it is, if it cannot be compiled; else "".
        """
        self.model.train()
        example = torch.zeros(shape, device=self._device).to(memory_format=torch.channels_last)
        done = compiled(self.model, example)
        self._call = done.call
        return done.note

    def epoch(
        self,
        batches: Iterator[tuple[Tensor, Tensor]],
        epoch: int,
        first: int,
        accumulate: int,
        on_update: Callable[[int, float | None], object],
    ) -> float:
        """Trains the updates of an epoch from ``first`` on.

        Args:
            batches: Batches, ``accumulate`` of them per update.
            epoch: Number of epochs done before this one.
            first: Number of updates of this epoch already done, see :meth:`state`.
            accumulate: Forward passes per update.
            on_update: Called with the number of updates done and, at intervals, the mean loss so far.

        Returns:
            The epoch's mean training loss, over all processes.

        Raises:
            UserError: If the loss is not finite.
        """
        self.model.train()
        if first == 0:
            self._sum.zero_()
        for update in range(first, self._updates):
            self._update([next(batches) for _ in range(accumulate)], epoch * self._updates + update)
            done = update + 1
            on_update(done, self._look(epoch, done) if done % _LOOK_EVERY == 0 else None)
        self._share_loss()
        self._share_statistics()
        return self._look(epoch, self._updates)

    def state(self) -> State:
        """Returns the state to continue from; :meth:`load` is the inverse. All processes must call it."""
        self._share_loss()
        scaler = self._accelerator.scaler
        return {
            "model": self.plain.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "average": None if self._average is None else self._average.module.state_dict(),
            "scaler": None if scaler is None else scaler.state_dict(),
            "loss_sum": self._sum.item(),
        }

    def load(self, state: State) -> None:
        """Loads a state."""
        self.plain.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        if self._average is not None:
            self._average.module.load_state_dict(state["average"])
        if self._accelerator.scaler is not None and state["scaler"] is not None:
            self._accelerator.scaler.load_state_dict(state["scaler"])
        self._sum.fill_(state["loss_sum"])

    def _update(self, parts: Sequence[tuple[Tensor, Tensor]], number: int) -> None:
        self._schedule.step_update(number)
        self._optimizer.zero_grad()
        for i, (images, labels) in enumerate(parts):
            set_seed(derive(self._seed, "update", number, i, self._accelerator.process_index))
            images = images.to(self._device, memory_format=torch.channels_last, non_blocking=True)
            images, targets = self._mix(self._finish(images), labels.to(self._device, non_blocking=True))
            last = i == len(parts) - 1
            with contextlib.nullcontext() if last else self._accelerator.no_sync(self.model):
                loss = self._loss(self._call(images).float(), targets) / len(parts)
                self._accelerator.backward(loss)
            self._sum += loss.detach()
        if self._recipe.clip_grad and "lamb" not in self._recipe.opt:
            self._accelerator.clip_grad_norm_(self.model.parameters(), self._recipe.clip_grad)
        self._optimizer.step()
        if self._average is not None:
            self._average.update(self.plain, number + 1 if self._recipe.average else None)

    def _look(self, epoch: int, done: int) -> float:
        loss = self._sum.item() / done
        if not math.isfinite(loss):
            raise SettingError(
                "lr", f"{self._recipe.lr:g}", f"the loss of epoch {epoch + 1} is not finite; must be lower"
            )
        return loss

    def _share_loss(self) -> None:
        if self._accelerator.num_processes > 1:
            self._sum = self._accelerator.reduce(self._sum, reduction="mean")

    def _share_statistics(self) -> None:
        """Averages batch norms' statistics over the processes, as timm's ``--dist-bn reduce`` does."""
        processes = self._accelerator.num_processes
        if processes > 1:
            for model in {self.plain, self.evaluated}:
                distribute_bn(model, processes, reduce=True)


def _average(model: nn.Module, recipe: Recipe) -> ModelEmaV3 | None:
    if recipe.average:  # the decays of nas.trial.weight_average.WeightAverage
        return ModelEmaV3(model, decay=1.0, use_warmup=True, warmup_gamma=1 / recipe.average, warmup_power=1)
    return ModelEmaV3(model, decay=recipe.ema) if recipe.ema else None


def _mixing(recipe: Recipe, num_classes: int) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Builds the map from images and labels ``(B,)`` to images and soft targets ``(B, num_classes)``."""
    if recipe.mixup > 0 or recipe.cutmix > 0:
        mix: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] = Mixup(
            mixup_alpha=recipe.mixup,
            cutmix_alpha=recipe.cutmix,
            switch_prob=recipe.mix_switch,
            label_smoothing=recipe.smoothing,
            num_classes=num_classes,
        )
        return mix

    def soften(images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        hard = functional.one_hot(labels, num_classes).float()
        return images, hard * (1 - recipe.smoothing) + recipe.smoothing / num_classes

    return soften
