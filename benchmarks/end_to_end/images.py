"""The images of a race: those that programs get, and those that winners are judged on."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from nas.data.device import DeviceData, Part
from nas.data.sources import load, load_test

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.end_to_end.settings import EndToEndSettings
    from nas.data.images import ImageSet


def given(options: EndToEndSettings, repeat: int) -> ImageSet:
    """Returns the images that every program of a repeat gets: a fresh stratified draw each time."""
    return load(
        options.dataset,
        data_dir=options.data_dir,
        max_images=options.learn + options.judge,
        seed=repeat,
    )


def write(images: ImageSet, path: Path) -> None:
    """Writes them as the archive that ``--dataset npz:`` reads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, x_train=images.images, y_train=images.labels, classes=np.array(images.class_names))


def judged(options: EndToEndSettings, images: ImageSet, repeat: int) -> DeviceData:
    """Returns training images, as many as a trial has, and the test part, which no program has seen."""
    test = load_test(options.dataset, data_dir=options.data_dir)
    rng = np.random.default_rng(repeat)
    test = test.take(np.sort(rng.permutation(len(test.labels))[: options.test]))
    pixels = torch.from_numpy(np.ascontiguousarray(test.images)).permute(0, 3, 1, 2)
    placed = DeviceData.place(images, val_fraction=options.share, seed=repeat, device=options.device)
    part = Part(pixels.to(options.device), torch.from_numpy(test.labels).to(options.device))
    return replace(placed, val=part)
