"""Checks that faster training is not worse: equal epochs on a fixed set of configurations.

Trains ten configurations on real images three times from the same seeds: plainly, and twice with the
faster gradients of large depthwise convolutions (``nas.trial.kernels.depthwise``). Prints accuracies, the
paired difference with its standard error, and whether the two equal runs gave equal weights.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import tyro

from benchmarks.workload import SPACE, machine
from nas.data.device import DeviceData
from nas.data.sources import load
from nas.trial.kernels import FastLayers
from nas.trial.loop import reproducible
from nas.trial.settings import TrainSettings
from nas.trial.trainer import Trainer
from nas.util.seeds import derive

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class QualityCheckSettings:
    """What to train."""

    dataset: str = "cifar10"
    """As for the search."""
    data_dir: Path = Path("data")
    """As for the search."""
    width: int = 16
    """Width of the reduced network."""
    images: int = 3000
    """Images in all."""
    val_fraction: float = 0.4
    """Share of them to judge by."""
    epochs: int = 3
    """Epochs of each training."""
    configs: int = 10
    """Xception, NEXcepTion, and random ones."""
    device: str = "cpu"
    """Where; on a GPU all ways are the same, and only equality is checked."""
    json: Path | None = None
    """Writes all figures there."""


def top1(
    options: QualityCheckSettings, data: DeviceData, config: Mapping[str, Any], fast: bool
) -> tuple[float, Any]:
    """Trains a configuration; returns its validation accuracy and its weights."""
    recipe = TrainSettings().resolve(options.width, len(data.train), flip=data.flip)
    torch.manual_seed(derive(0, "init"))
    geometry = SPACE.reduced(options.width, data.train.images.shape[-1])
    model = SPACE.build(config, geometry, data.num_classes, data.in_chans, recipe.drop_path_rate)
    layers = FastLayers(data.device, print) if fast else None
    trainer = Trainer(model, data, recipe, options.epochs, layers=layers)
    with reproducible(data.device):
        for epoch in range(options.epochs):
            metrics = trainer.epoch(epoch, derive(0, "epoch", epoch))
    return metrics.top1, trainer.model.state_dict()


def main(options: QualityCheckSettings) -> dict[str, Any]:
    """Prints a Markdown table; returns all figures."""
    torch.set_num_threads(1)
    images = load(options.dataset, data_dir=options.data_dir, max_images=options.images)
    data = DeviceData.place(images, val_fraction=options.val_fraction, seed=0, device=options.device)
    named = {name: SPACE.points[name] for name in ("xception", "nexception")}
    drawn = SPACE.sample(options.configs - len(named), derive(0, "quality"))
    named |= {f"random{number}": config for number, config in enumerate(drawn)}
    print(
        "| configuration | kernels | plain, % | fast, % | CPU s : CPU s | equal runs equal |\n"
        + "|---" * 6
        + "|"
    )
    rows: list[dict[str, Any]] = []
    for name, config in named.items():
        spent, found, states = [], [], []
        for fast in (False, True, True):
            began = time.process_time()
            accuracy, state = top1(options, data, config, fast)
            spent.append(time.process_time() - began)
            found.append(accuracy)
            states.append(state)
        equal = all(torch.equal(states[1][key], states[2][key]) for key in states[1])
        rows.append({"config": name, "plain": found[0], "fast": found[1], "equal": equal, "seconds": spent})
        kernels = f"{config['kernel_down']}, {config['kernel_mid']}"
        print(
            f"| {name} | {kernels} | {100 * found[0]:.1f} | {100 * found[1]:.1f} "
            f"| {spent[0] / min(spent[1:]):.2f} | {'yes' if equal else 'no'} |",
            flush=True,
        )
    gain = 100 * np.array([row["fast"] - row["plain"] for row in rows])
    error = gain.std(ddof=1) / np.sqrt(len(gain))
    noise = 100 * np.sqrt(2 * np.mean([row["plain"] * (1 - row["plain"]) for row in rows]) / len(data.val))
    print(f"\nfast - plain: {gain.mean():+.2f} points, standard error {error:.2f}", end="; ")
    print(f"two independent judgements of one configuration differ by {noise:.1f} (standard deviation)")
    record = {**machine(torch.device(options.device)), "rows": rows, "mean": gain.mean(), "error": error}
    if options.json is not None:
        options.json.write_text(json.dumps(record, indent=1) + "\n")
    return record


if __name__ == "__main__":
    main(tyro.cli(QualityCheckSettings, description=__doc__))
