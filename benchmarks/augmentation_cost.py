"""How much of a training step goes into selecting, augmenting and normalising its images.

Takes some seconds; prints one line per width and batch size.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import torch
import tyro

import search_spaces
from nas.data.augment import train_batches
from nas.data.device import DeviceData
from nas.data.images import checked
from nas.trial.kernels import FastLayers
from nas.trial.settings import TrainSettings
from nas.trial.trainer import Trainer, augmentation_of
from nas.util.machine import synchronize


@dataclass(frozen=True)
class AugmentationCostSettings:
    """What to time."""

    widths: tuple[int, ...] = (16, 32, 64)
    """Widths of Xception's reduced network."""
    batch_sizes: tuple[int, ...] = (32, 64, 128)
    """Images a step."""
    steps: int = 10
    """Timed steps; the median counts."""
    threads: int = 1
    """CPU threads."""
    device: str = "cpu"
    """Where."""


def main(options: AugmentationCostSettings) -> None:
    """Times steps on random 32x32 images, with everything switched on."""
    torch.set_num_threads(options.threads)
    space = search_spaces.get("nexception")
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4000, 32, 32, 3), dtype=np.uint8)
    labels = np.arange(4000) % 10
    data = DeviceData.place(
        checked("random", images, labels), val_fraction=0.25, seed=0, device=options.device
    )
    print("width batch  images ms  step ms  share")
    for width in options.widths:
        for batch_size in options.batch_sizes:
            settings = TrainSettings(batch_size=batch_size, mixup=0.2, cutmix=1.0)
            model = space.build(space.default, space.reduced(width), 10, 3, 0.0)
            layers = FastLayers(data.device)
            trainer = Trainer(model, data, settings.resolve(width, 3000), 1, layers=layers)
            making, training = [], []
            recipe = settings.resolve(width, 3000)
            batches = train_batches(data, augmentation_of(recipe), trainer.batch_size, seed=0)
            steps = trainer.endless()
            for _ in range(options.steps + 2):
                began = now(data.device)
                next(batches)
                made = now(data.device)
                next(steps)
                making.append(made - began)
                training.append(now(data.device) - made)
            made_ms, step_ms = (1e3 * float(np.median(times[2:])) for times in (making, training))
            print(f"{width:5} {batch_size:5}  {made_ms:9.2f}  {step_ms:7.1f}  {made_ms / step_ms:5.3f}")


def now(device: torch.device) -> float:
    """Wall seconds, once the device has done what it was told."""
    synchronize(device)
    return time.perf_counter()


if __name__ == "__main__":
    main(tyro.cli(AugmentationCostSettings, description=__doc__))
