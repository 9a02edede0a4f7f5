"""``nas.train`` against timm's own training loop: images per second and loss, on files like ImageNet's.

Both train the same network from the same initial weights by Table 1's recipe (LAMB, RandAugment, Mixup,
CutMix, binary cross-entropy), in turns, each in a process of its own. The files are synthetic: of
ImageNet's usual size and quality, their class in colours and stripes.

timm's ``train.py`` is no part of its package. The loop here is assembled as in that script, from
timm's own pieces: ``create_dataset``, ``create_loader`` with its prefetcher, ``FastCollateMixup``,
``create_optimizer_v2``, ``create_scheduler_v2`` (as with ``--sched-on-updates``, which ``nas.train`` does
too), ``BinaryCrossEntropy``. Both draw other crops, augmentations and partners for mixing, so the losses
agree up to that noise. An epoch that starts reading processes is not counted in the speed.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.workload import command
from nas.util.errors import UserError, first_line
from nas.util.seeds import derive

_RECIPE: dict[str, Any] = {"lr": 2e-3, "weight_decay": 0.02, "warmup_epochs": 1.0}
_HEIGHTS, _WIDTHS = (333, 500), (400, 500)  # pixels: most of ImageNet's images lie there
_QUALITY = 95
_OURS, _TIMM = "nas.train", "timm's loop"


@dataclass(frozen=True)
class TrainAgainstTimmSettings:
    """What is trained, and how long."""

    model: str = "resnet10t"
    """A network of timm's."""
    image_size: int = 64
    """Pixels that it takes."""
    images: int = 256
    """JPEG files that are made."""
    classes: int = 8
    """Their classes."""
    batch_size: int = 32
    """Images an update."""
    epochs: int = 4
    """Epochs of each training."""
    turns: int = 2
    """Trainings of each."""
    workers: int = 1
    """Processes that read images, of each."""
    device: str = "cpu"
    """cpu or cuda."""
    json: Path | None = None
    """Writes all figures there."""
    loop: Path | None = None
    """Runs timm's loop once, on the files in this folder; what this program itself asks for."""


def main(options: TrainAgainstTimmSettings) -> dict[str, Any]:
    """Prints both speeds and both curves; returns all figures.

    Raises:
        UserError: If a training fails.
    """
    if options.loop is not None:
        found: dict[str, Any] = timms(options, options.loop)
        print(json.dumps(found))
        return found
    curves: dict[str, list[dict[str, Any]]] = {_OURS: [], _TIMM: []}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        size = make_files(folder / "train", options)
        print(f"{options.images} files of {size / options.images / 1e3:.0f} kB, {options.classes} classes")
        for turn in range(options.turns):
            for who in sorted(curves, reverse=turn % 2 == 1):
                curves[who].append(_ours(options, folder, turn) if who == _OURS else _timms(options, folder))
                print(f"{who}: {curves[who][-1]['rates'][-1]:,.1f} images/s in the last epoch", flush=True)
    found = judged(curves)
    print(table(found))
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=2))
    return found


def judged(curves: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """Speeds as medians over all epochs but first ones, losses as means over turns, and how they compare."""
    speeds = {
        who: statistics.median(r for c in all_of for r in c["rates"][1:]) for who, all_of in curves.items()
    }
    losses = {who: np.mean([c["losses"] for c in all_of], axis=0).tolist() for who, all_of in curves.items()}
    gaps = [abs(a - b) / b for a, b in zip(losses[_OURS], losses[_TIMM], strict=True)]
    ratios = [
        statistics.median(ours["rates"][1:]) / statistics.median(theirs["rates"][1:])
        for ours, theirs in zip(curves[_OURS], curves[_TIMM], strict=True)
    ]
    return {
        "images_per_second": speeds,
        "losses": losses,
        "ratios": ratios,
        "gap": max(gaps),
        "turns": curves,
    }


def table(found: dict[str, Any]) -> str:
    """The result in Markdown."""
    epochs = len(found["losses"][_OURS])
    head = ["", "images/s", *(f"loss, epoch {epoch + 1}" for epoch in range(epochs))]
    lines = ["", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for who, rate in found["images_per_second"].items():
        lines.append(f"| {who} | {rate:.1f} | {' | '.join(f'{loss:.4f}' for loss in found['losses'][who])} |")
    ratios = ", ".join(f"{ratio:.2f}" for ratio in found["ratios"])
    return "\n".join(
        [*lines, "", f"speed, ours : timm's, by turn: {ratios}; losses at most {found['gap']:.1%} apart"]
    )


def make_files(folder: Path, options: TrainAgainstTimmSettings) -> int:
    """Writes JPEG files, one folder per class; returns their size, bytes."""
    from PIL import Image

    random = np.random.default_rng(0)
    colours = random.integers(60, 196, (options.classes, 3))
    total = 0
    for number in range(options.images):
        label = number % options.classes
        height, width = (int(random.integers(low, high + 1)) for low, high in (_HEIGHTS, _WIDTHS))
        rows, columns = np.mgrid[:height, :width]
        stripes = 30 * np.sin((rows + label * columns) / (10 + label))[..., None]
        grain = random.normal(0, 12, (height, width, 3))
        path = folder / f"class-{label:03d}" / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.clip(colours[label] + stripes + grain, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(path, quality=_QUALITY)
        total += path.stat().st_size
    return total


def _ours(options: TrainAgainstTimmSettings, folder: Path, turn: int) -> dict[str, Any]:
    target = folder / f"ours-{turn}"
    flags = {
        "--data": f"folder:{folder}",
        "--data-dir": folder / "data",
        "--input-size": options.image_size,
        "--batch-size": options.batch_size,
        "--epochs": options.epochs,
        "--workers": options.workers,
        "--device": options.device,
        "--amp": "off",
        "--aug-repeats": 1,
        "--val-fraction": 0,
        "--lr": _RECIPE["lr"],
        "--weight-decay": _RECIPE["weight_decay"],
        "--warmup-epochs": _RECIPE["warmup_epochs"],
        "--output": target,
    }
    words = [str(word) for pair in flags.items() for word in pair]
    _finished([sys.executable, "-m", "nas.train", options.model, *words, "--quiet"])
    curve = json.loads((target / "seed-0" / "result.json").read_text())["curve"]
    return {
        "rates": [row["images_per_second"] for row in curve],
        "losses": [row["train_loss"] for row in curve],
    }


def _timms(options: TrainAgainstTimmSettings, folder: Path) -> dict[str, Any]:
    kept = ("model", "image_size", "classes", "batch_size", "epochs", "workers", "device")
    words = [word for key in kept for word in (f"--{key.replace('_', '-')}", str(getattr(options, key)))]
    program = [sys.executable, "-m", "benchmarks.train_against_timm", "--loop", str(folder)]
    found: dict[str, Any] = json.loads(_finished([*program, *words]).splitlines()[-1])
    return found


def _finished(program: list[str]) -> str:
    done = subprocess.run(program, capture_output=True, text=True, check=False, env=os.environ)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise UserError(f"{' '.join(program[1:4])}: {said[-1]}")
    return done.stdout


def timms(options: TrainAgainstTimmSettings, folder: Path) -> dict[str, Any]:
    """Runs the equivalent of timm's ``train.py``; returns speeds and mean losses of the epochs.

    Raises:
        UserError: If timm rejects a setting.
    """
    import timm
    import torch
    from timm.data import FastCollateMixup, create_dataset, create_loader, resolve_data_config
    from timm.loss import BinaryCrossEntropy
    from timm.optim import create_optimizer_v2
    from timm.scheduler import create_scheduler_v2
    from timm.utils import AverageMeter, random_seed

    device = torch.device(options.device)
    torch.manual_seed(derive(0, "init"))  # as nas.train draws its first seed's weights
    try:
        model = timm.create_model(options.model, num_classes=options.classes, drop_path_rate=0.05)
    except RuntimeError as error:
        raise UserError(f"{options.model}: {first_line(error)}") from error
    model = model.to(device).to(memory_format=torch.channels_last)
    random_seed(0)
    optimizer = create_optimizer_v2(model, "lamb", lr=_RECIPE["lr"], weight_decay=_RECIPE["weight_decay"])
    config = resolve_data_config({"input_size": (3, options.image_size, options.image_size)}, model=model)
    mix = {"mixup_alpha": 0.1, "cutmix_alpha": 1.0, "switch_prob": 0.5, "label_smoothing": 0.0}
    loader = create_loader(
        create_dataset("", root=str(folder), split="train", is_training=True, batch_size=options.batch_size),
        input_size=config["input_size"],
        batch_size=options.batch_size,
        is_training=True,
        color_jitter=0.4,  # which RandAugment takes the place of
        auto_augment="rand-m7-mstd0.5-inc1",
        interpolation="random",
        mean=config["mean"],
        std=config["std"],
        num_workers=options.workers,
        collate_fn=FastCollateMixup(**mix, num_classes=options.classes),
        pin_memory=device.type == "cuda",
        device=device,
    )
    updates = len(loader)
    schedule, epochs = create_scheduler_v2(
        optimizer,
        sched="cosine",
        num_epochs=options.epochs,
        warmup_epochs=_RECIPE["warmup_epochs"],
        warmup_lr=1e-4,
        min_lr=1e-6,
        step_on_epochs=False,
        updates_per_epoch=updates,
    )
    loss_of = BinaryCrossEntropy(target_threshold=0.2)
    rates, losses = [], []
    done = 0
    schedule.step_update(0)
    for _ in range(epochs):
        model.train()
        meter = AverageMeter()
        began, seen = time.perf_counter(), 0
        for images, targets in loader:
            images = images.contiguous(memory_format=torch.channels_last)
            loss = loss_of(model(images), targets)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            done, seen = done + 1, seen + len(images)
            schedule.step_update(done)
            meter.update(loss.item(), len(images))
        rates.append(seen / (time.perf_counter() - began))
        losses.append(meter.avg)
    return {"rates": rates, "losses": losses}


if __name__ == "__main__":
    command(main, TrainAgainstTimmSettings, __doc__)
