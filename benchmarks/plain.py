"""The training loop that most people would write with timm, with which a trial's speed is compared."""

from __future__ import annotations

import itertools
import os
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch

from benchmarks.trial import TRAINING_IMAGES, batch_size
from benchmarks.workload import CLASSES, SIDE, network, random_images
from nas.trial.settings import TrainSettings
from nas.util.machine import synchronize

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from search_spaces.base import Config

Amp = Literal["off", "fp16", "bf16"]


@dataclass(frozen=True)
class Loop:
    """A plain loop.

    Attributes:
        device: Where it trains.
        amp: Automatic mixed precision; fp16 with a loss scaler, as timm's own script has it.
        with_data: DataLoader workers with RandAugment on PIL images; else one batch that lies on the device.
        wanted_batch: Images per step; None for the width's default.
    """

    device: torch.device
    amp: Amp = "off"
    with_data: bool = False
    wanted_batch: int | None = None

    def steps(self, config: Config, width: int) -> Generator[int]:
        """Trains a network, eager and channels first; yields the images of each step when it is done."""
        from timm.optim import create_optimizer_v2

        device, batch = self.device, batch_size(width, self.wanted_batch)
        recipe = TrainSettings(batch_size=batch).resolve(width, TRAINING_IMAGES)
        model = network(config, width).to(device).train()
        optimizer = create_optimizer_v2(model, "lamb", lr=recipe.lr, weight_decay=recipe.weight_decay)
        scaler = torch.amp.GradScaler(device.type, enabled=self.amp == "fp16")
        for images, labels in self._batches(batch):
            images, labels = images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
            with self._autocast():
                loss = torch.nn.functional.cross_entropy(
                    model(images), labels, label_smoothing=recipe.smoothing
                )
            optimizer.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            loss.item()  # for the progress bar
            synchronize(device)
            yield batch

    def _autocast(self) -> Any:
        if self.amp == "off":
            return nullcontext()
        return torch.autocast(self.device.type, torch.float16 if self.amp == "fp16" else torch.bfloat16)

    def _batches(self, batch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        if self.with_data:
            return _loader_batches(batch)
        images = torch.randn(batch, 3, SIDE, SIDE, device=self.device)
        return itertools.repeat((images, torch.arange(batch, device=self.device) % CLASSES))


def _loader_batches(batch: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    from timm.data import create_transform
    from torch.utils.data import DataLoader

    transform = create_transform(SIDE, is_training=True, auto_augment="rand-m9-mstd0.5")
    loader = DataLoader(
        _Pictures(transform),
        batch,
        shuffle=True,
        num_workers=len(os.sched_getaffinity(0)),
        drop_last=True,
        pin_memory=torch.cuda.is_available(),
    )
    return itertools.chain.from_iterable(itertools.repeat(loader))


class _Pictures(torch.utils.data.Dataset[Any]):
    """Images as an image folder returns them, without the decoding."""

    def __init__(self, transform: Callable[[Any], torch.Tensor]) -> None:
        self._images, self._labels = random_images(TRAINING_IMAGES)
        self._transform = transform

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        from PIL import Image

        return self._transform(Image.fromarray(self._images[index])), int(self._labels[index])
