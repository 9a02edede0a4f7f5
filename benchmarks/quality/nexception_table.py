"""Trains configurations of the ``nexception`` space on real images: the table behind the quality benchmark.

Every training is recorded epoch by epoch. The training rate is constant and annealed by averaging, so a
shorter budget is the beginning of a longer one and one training answers for every rung. Rows go to a JSON
Lines file as trainings end; what is there or in the table already is not trained again, so the command can
be killed and repeated. ``--write`` adds the rows to the table, the parquet file of the repository.
``docs/proxy.md`` has the card.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
import torch
import tyro

import search_spaces
from nas.data.device import DeviceData
from nas.data.sources import load
from nas.trial.loop import Diverged, train
from nas.trial.settings import TrainSettings
from nas.util import counts
from nas.util.files import replacing
from nas.util.seeds import derive
from search_spaces.base import config_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nas.trial.trainer import EpochMetrics
    from search_spaces.base import Config

SPACE = "nexception"
HERE = Path(__file__).parent
TABLE = HERE / "nexception_table.parquet"
Part = Literal["table", "width32", "width64", "width128", "deep", "images", "pixels"]
_SPLIT_SEED = 0
_SAMPLE_SEED = 20
_REPEATED = 5  # every fifth configuration is trained with a second seed
_POINT_SEEDS = 3
_TRAINING = ["part", "config_id", "seed"]  # the columns that name one


@dataclass(frozen=True)
class Setting:
    """What a part of the table was trained on.

    Attributes:
        width: Of the reduced network.
        image_size: Pixels.
        train_images: Half of the images loaded; the other half judges.
        blocks: Middle blocks.
    """

    width: int = 16
    image_size: int = 32
    train_images: int = 2000
    blocks: int = 4


PARTS: dict[Part, Setting] = {
    "table": Setting(),
    "width32": Setting(width=32),
    "width64": Setting(width=64),
    "width128": Setting(width=128),
    "deep": Setting(blocks=8),
    "images": Setting(train_images=6000),
    "pixels": Setting(image_size=16),
}


@dataclass(frozen=True)
class NexceptionTableSettings:
    """What to train."""

    part: Part = "table"
    """table: the benchmark itself; the others change one thing for the first --configs of its list."""
    dataset: str = "cifar10"
    """As for the search."""
    data_dir: Path = Path("data")
    """As for the search."""
    configs: int = 1000
    """Random configurations, besides the named points."""
    epochs: int = 18
    """Epochs of every training."""
    shard: tuple[int, int] = (0, 1)
    """Train every second (third...) item of the list only: which, of how many."""
    timed: bool = True
    """Record seconds; not on a machine that other programs use, or that is another one."""
    rows: Path = HERE / "work" / "rows.jsonl"
    """Where finished trainings go."""
    write: bool = False
    """Train nothing; add the rows to the table."""
    table: Path = field(default=TABLE)
    """The parquet file."""


@dataclass(frozen=True)
class Item:
    """One training."""

    origin: str
    config: Config
    seed: int


def items(options: NexceptionTableSettings) -> Iterator[Item]:
    """What to train, in order: a shorter list begins a longer one."""
    space = search_spaces.get(SPACE)
    seeds = _POINT_SEEDS if options.part == "table" else 1
    for name, config in space.points.items():
        for seed in range(seeds):
            yield Item(name, config, seed)
    for index, config in enumerate(space.sample(options.configs, _SAMPLE_SEED)):
        yield Item("random", config, 0)
        if options.part == "table" and index % _REPEATED == 0:
            yield Item("random", config, 1)


def place(options: NexceptionTableSettings) -> DeviceData:
    """The images of a part: as many to learn from as to judge by, the same for every training."""
    setting = PARTS[options.part]
    images = load(
        options.dataset,
        data_dir=options.data_dir,
        image_size=setting.image_size,
        max_images=setting.train_images + PARTS["table"].train_images,
    )
    share = PARTS["table"].train_images / (setting.train_images + PARTS["table"].train_images)
    return DeviceData.place(images, val_fraction=share, seed=_SPLIT_SEED, device="cpu")


def run(options: NexceptionTableSettings, data: DeviceData, item: Item) -> list[dict[str, Any]]:
    """Trains one configuration; a row for each epoch, ``error`` None from where it diverged."""
    setting, space = PARTS[options.part], search_spaces.get(SPACE)
    geometry = replace(space.reduced(setting.width, setting.image_size), depths=(setting.blocks,))
    recipe = TrainSettings().resolve(setting.width, len(data.train), flip=data.flip)
    torch.manual_seed(derive(item.seed, "init"))
    model = space.build(item.config, geometry, data.num_classes, data.in_chans, recipe.drop_path_rate)
    size = counts.count(model, setting.image_size, data.in_chans)
    common = {
        "part": options.part,
        "config_id": config_id(item.config),
        **item.config,
        "origin": item.origin,
        "seed": item.seed,
        "params": size.params,
        "macs": size.macs,
    }
    rows: list[dict[str, Any]] = []
    began = time.process_time()  # of the process, so that a busy or stopped machine does not count

    def seconds() -> float | None:
        return round(time.process_time() - began, 3) if options.timed else None

    def on_epoch(metrics: EpochMetrics, _: Callable[[], Any]) -> None:
        rows.append(
            {
                **common,
                "epoch": metrics.epoch,
                "error": round(1 - metrics.top1, 5),
                "val_loss": round(metrics.val_loss, 4),
                "train_loss": round(metrics.train_loss, 4),
                "seconds": seconds(),
            }
        )

    try:
        train(
            model,
            data,
            recipe,
            epochs=options.epochs,
            max_epochs=options.epochs,
            seed=item.seed,
            on_epoch=on_epoch,
        )
    except Diverged as error:
        lost = {"error": None, "val_loss": None, "train_loss": None, "seconds": seconds()}
        rows += [{**common, "epoch": n, **lost} for n in range(error.epoch, options.epochs + 1)]
    return rows


def read(path: Path) -> pd.DataFrame:
    """The finished trainings; a half-written last line is left out."""
    rows: list[dict[str, Any]] = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            rows += json.loads(line)
        except ValueError:
            continue
    return pd.DataFrame(rows)


def known(options: NexceptionTableSettings) -> pd.DataFrame:
    """All trainings so far, each once: those of the table and the rows since."""
    table = pd.read_parquet(options.table) if options.table.exists() else pd.DataFrame()
    for name in table.select_dtypes("category"):
        table[name] = table[name].astype(table[name].cat.categories.dtype)
    frame = pd.concat([table, read(options.rows)], ignore_index=True)
    return frame.drop_duplicates([*_TRAINING, "epoch"]) if len(frame) else frame


def execute(options: NexceptionTableSettings) -> None:
    """Trains what is missing."""
    torch.set_num_threads(1)
    data = place(options)
    for item in list(items(options))[options.shard[0] :: options.shard[1]]:
        done = known(options)  # anew each time: other shards add to it
        key = (options.part, config_id(item.config), item.seed)
        if len(done) and key in set(done[_TRAINING].itertuples(index=False, name=None)):
            continue
        rows = run(options, data, item)
        options.rows.parent.mkdir(parents=True, exist_ok=True)
        with options.rows.open("ab", buffering=0) as file:  # one write: several shards share the file
            file.write(json.dumps(rows).encode() + b"\n")
        print(
            options.part, item.origin, key[1], item.seed, rows[-1]["error"], rows[-1]["seconds"], flush=True
        )


def write(options: NexceptionTableSettings) -> None:
    """Adds the rows to the table."""
    frame = known(options)
    for name in ("part", "config_id", "origin", *search_spaces.get(SPACE).hyperparameters):
        if frame[name].dtype == object:
            frame[name] = frame[name].astype("category")
    small = {"epoch": "int8", "seed": "int8", "error": "float32", "val_loss": "float32"}
    small |= {"train_loss": "float32", "seconds": "float32"}
    with replacing(options.table) as scratch:
        frame.astype(small).to_parquet(scratch, compression="zstd", index=False)
    trainings = len(frame.drop_duplicates(_TRAINING))
    print(f"{options.table}: {trainings} trainings, {options.table.stat().st_size / 1e3:.0f} kB")


if __name__ == "__main__":
    chosen = tyro.cli(NexceptionTableSettings, description=__doc__)
    if chosen.write:
        if not chosen.rows.exists():
            sys.exit(f"{chosen.rows}: not there yet; train first")
        write(chosen)
    else:
        execute(chosen)
