"""Compares training recipes and schedules on real images: where the defaults in ``nas.trial`` come from.

Each study trains a few configurations of the space with each of its variants and appends a row for
every rung to a CSV file; rows that it has are not trained again. Without ``--study`` it only
prints the file's results. ``docs/training.md`` shows the commands and discusses the outcome.
"""

from __future__ import annotations

import csv
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import torch
import tyro
from timm.utils import ModelEmaV3

import search_spaces
from nas.data.device import DeviceData
from nas.data.sources import load
from nas.trial.kernels import FastLayers
from nas.trial.schedule import CosineSchedule
from nas.trial.settings import TrainSettings
from nas.trial.trainer import Diverged, Trainer
from nas.trial.validation import estimate_batch_norm, evaluate
from nas.util.seeds import derive

if TYPE_CHECKING:
    from collections.abc import Iterator

    from search_spaces.base import Config

SPACE = "nexception"
SHARES = (0.2, 0.1)
FIELDS = [
    "study",
    "dataset",
    "width",
    "n_train",
    "n_val",
    "seed",
    "config",
    "variant",
    "judged",
    "epoch",
    "top1",
    "val_loss",
    "seconds",
]


@dataclass(frozen=True)
class TrainingDefaultsSettings:
    """What to compare."""

    study: Literal["schedule", "rate", "batch", "regularization"] | None = None
    """Which comparison to run."""
    dataset: str = "cifar10"
    """As for the search."""
    data_dir: Path = Path("data")
    """As for the search."""
    width: int = 16
    """Width of the reduced network."""
    images: int = 4000
    """Images in all."""
    val_fraction: float = 0.4
    """Share of them to judge by."""
    rungs: tuple[int, ...] = (2, 6, 18)
    """Epochs at which accuracy is recorded; the last is the largest budget."""
    configs: int = 0
    """Random configurations besides Xception and NEXcepTion."""
    seed: int = 0
    """Of the configurations, their weights and their training."""
    shard: tuple[int, int] = (0, 1)
    """Run every second (third...) configuration only: which, of how many."""
    threads: int = 1
    """CPU threads."""
    results: Path = Path("benchmarks/results/training_defaults.csv")
    """Where the rows go."""


@dataclass(frozen=True)
class Restarts:
    """A cosine from rung to rung, warmed up again after each (arXiv 1608.03983)."""

    parts: tuple[CosineSchedule, ...]

    def __call__(self, step: int) -> float:
        """The learning rate of a step."""
        for part in self.parts:
            if step < part.total:
                return part(step)
            step -= part.total
        return self.parts[-1].floor


@dataclass(frozen=True)
class Variant:
    """One way of training."""

    name: str
    settings: dict[str, Any] = field(default_factory=dict)
    restarts: bool = False
    averages: tuple[float, ...] = ()


class Observed(Trainer):
    """A trainer that keeps several weight averages at once."""

    averages: dict[float, ModelEmaV3]
    _taken = 0

    def step(self) -> None:
        """One update of the network and of every average."""
        super().step()
        self._taken += 1
        for average in self.averages.values():
            average.update(self.model, step=self._taken)


def variants(study: str) -> list[Variant]:
    """The ways of training a study compares."""
    plain = {"schedule": "cosine", "average": 0.0, "optimizer": "lamb", "lr": 0.01, "batch_size": 64}
    if study == "schedule":
        return [
            Variant("cosine", plain, averages=SHARES),
            Variant("restarts", plain, restarts=True),
            Variant("constant", plain | {"schedule": "constant"}, averages=SHARES),
        ]
    if study == "rate":
        grid: dict[str, tuple[float, ...]] = {
            "lamb": (0.005, 0.01, 0.02),
            "adamw": (0.003,),
            "sgd": (0.03, 0.1),
        }
        return [
            Variant(f"{name} lr={lr}", {"optimizer": name, "lr": lr, "batch_size": 64})
            for name, rates in grid.items()
            for lr in rates
        ]
    if study == "batch":
        return [Variant(f"batch={size}", {"batch_size": size}) for size in (16, 32, 64, 128)]
    strong = {"loss": "bce", "mixup": 0.1, "cutmix": 1.0}
    return [
        Variant("smoothing=0.1", {"smoothing": 0.1}),
        Variant("smoothing=0", {"smoothing": 0.0}),
        Variant("smoothing=0 mixup=0.2", {"smoothing": 0.0, "mixup": 0.2}),
        Variant("smoothing=0 bce mixup=0.1 cutmix=1", {"smoothing": 0.0, **strong}),
    ]


def configurations(options: TrainingDefaultsSettings) -> dict[str, Config]:
    """Xception, NEXcepTion and some random ones."""
    space = search_spaces.get(SPACE)
    named = {name: space.points[name] for name in ("xception", "nexception")}
    drawn = space.sample(options.configs, derive(options.seed, "configs")) if options.configs else []
    return {**named, **{f"random{i}": config for i, config in enumerate(drawn)}}


def run(
    options: TrainingDefaultsSettings, data: DeviceData, config: Config, variant: Variant
) -> Iterator[dict[str, Any]]:
    """Trains one configuration one way; yields a row for each rung and each judged set of weights."""
    space = search_spaces.get(SPACE)
    recipe = TrainSettings(**variant.settings).resolve(options.width, len(data.train), flip=data.flip)
    torch.manual_seed(derive(options.seed, "init"))
    model = space.build(
        config, space.reduced(options.width), data.num_classes, data.in_chans, recipe.drop_path_rate
    )
    trainer = Observed(model, data, recipe, options.rungs[-1], layers=FastLayers(data.device))
    trainer.averages = {
        share: ModelEmaV3(
            model,
            decay=1.0,
            use_warmup=True,
            warmup_gamma=1 / share,
            warmup_power=1.0,
            exclude_buffers=True,
        )
        for share in variant.averages
    }
    if variant.restarts:
        warmup = round(recipe.warmup_epochs * trainer.steps)
        lengths = np.diff((0, *options.rungs)) * trainer.steps
        trainer.schedule = Restarts(
            tuple(CosineSchedule(recipe.lr, recipe.min_lr, min(warmup, int(n) // 2), int(n)) for n in lengths)
        )
    seconds = 0.0
    for epoch in range(options.rungs[-1]):
        metrics = trainer.epoch(epoch, derive(options.seed, "epoch", epoch))
        seconds += metrics.train_seconds
        if epoch + 1 not in options.rungs:
            continue
        judged = {
            "last" if not recipe.average else f"average {recipe.average}": (metrics.val_loss, metrics.top1)
        }
        for share, average in trainer.averages.items():
            estimate_batch_norm(average.module, data)
            judged[f"average {share}"] = evaluate(average.module, data)[:2]
        for name, (loss, top1) in judged.items():
            yield {
                "judged": name,
                "epoch": epoch + 1,
                "top1": round(top1, 4),
                "val_loss": round(loss, 4),
                "seconds": round(seconds, 1),
            }


def execute(options: TrainingDefaultsSettings) -> None:
    """Runs what is missing of a study."""
    torch.set_num_threads(options.threads)
    images = load(options.dataset, data_dir=options.data_dir, max_images=options.images)
    data = DeviceData.place(images, val_fraction=options.val_fraction, seed=0, device="cpu")
    assert options.study is not None
    done = set()
    if options.results.exists():
        key_fields = ["study", "dataset", "width", "n_train", "seed", "config", "variant", "epoch"]
        done = set(read(options.results)[key_fields].astype(str).itertuples(index=False, name=None))
    for config_name, config in list(configurations(options).items())[options.shard[0] :: options.shard[1]]:
        for variant in variants(options.study):
            common = {
                "study": options.study,
                "dataset": options.dataset.partition(":")[2].rpartition("/")[2] or options.dataset,
                "width": options.width,
                "n_train": len(data.train),
                "n_val": len(data.val),
                "seed": options.seed,
                "config": config_name,
                "variant": variant.name,
            }
            names = ("study", "dataset", "width", "n_train", "seed", "config", "variant")
            if (*(str(common[name]) for name in names), str(options.rungs[-1])) in done:
                continue
            began = time.perf_counter()
            try:
                rows = list(run(options, data, config, variant))
            except Diverged as error:
                row = {
                    "judged": "diverged",
                    "epoch": options.rungs[-1],
                    "top1": 0.0,
                    "val_loss": "",
                    "seconds": 0,
                }
                rows = [row]
                print(error)
            append(options.results, [{**common, **row} for row in rows])
            tops = " ".join(f"{row['judged']}@{row['epoch']}={row['top1']}" for row in rows)
            print(
                f"{config_name:11} {variant.name:28} {time.perf_counter() - began:5.1f} s  {tops}", flush=True
            )


def append(path: Path, rows: list[dict[str, Any]]) -> None:
    """Adds rows to the CSV file, with a header if it is new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, FIELDS)
        if fresh:
            writer.writeheader()
        writer.writerows(rows)


def read(path: Path) -> pd.DataFrame:
    """Reads the CSV file."""
    return pd.read_csv(path)


def report(path: Path) -> None:
    """Prints mean accuracies and, for schedules, rank correlations with the last rung."""
    frame = read(path)
    for (study, dataset, width, n_train), part in frame.groupby(["study", "dataset", "width", "n_train"]):
        print(
            f"\n{study}: {dataset}, width {width}, {n_train} training images, {part.config.nunique()} configs"
        )
        table = part.pivot_table(index=["variant", "judged"], columns="epoch", values="top1", sort=False)
        if study == "schedule":
            last = int(part.epoch.max())
            for rung in sorted(set(part.epoch) - {last}):
                table[f"rho {rung}-{last}"] = [
                    correlation(part, variant, judged, rung, last) for variant, judged in table.index
                ]
        print(table.round(3).to_string())


def correlation(part: pd.DataFrame, variant: str, judged: str, rung: int, last: int) -> float:
    """Spearman's rank correlation over configurations between accuracy at two rungs."""
    chosen = part[(part.variant == variant) & (part.judged == judged)]
    wide = chosen.pivot_table(index=["seed", "config"], columns="epoch", values="top1")
    return float(wide[rung].corr(wide[last], method="spearman"))


if __name__ == "__main__":
    chosen = tyro.cli(TrainingDefaultsSettings, description=__doc__)
    if chosen.study is not None:
        execute(chosen)
    if not chosen.results.exists():
        sys.exit(f"{chosen.results}: not there yet; run a --study")
    report(chosen.results)
