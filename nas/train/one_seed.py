"""One training with one seed: from the last checkpoint, or from the start, to its result."""

from __future__ import annotations

import json
import math
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from nas.data.split import stratified_split
from nas.evaluate.predict import Predictions, Transformed, predict
from nas.evaluate.scores import Scores
from nas.run.folder import write_json
from nas.train import tracking
from nas.train.batches import Batches, loader, training_transform
from nas.train.fit import shortfall
from nas.train.trainer import Trainer
from nas.train.view import Speed, View, choose
from nas.trial.checkpoint import CheckpointStore
from nas.trial.memory import PeakMemory, memory_advice
from nas.trial.validation import NORM_IMAGES, settle_batch_norm
from nas.util import output
from nas.util.errors import SettingError, UserError, first_line, from_reader, setting
from nas.util.files import replacing, written
from nas.util.quantities import counted
from nas.util.seeds import derive

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    from accelerate import Accelerator
    from torch import Tensor, nn

    from nas.data.pictures import Pictures
    from nas.export.recipe import Recipe
    from nas.train.roofline import Roofline
    from nas.train.settings import TrainCommandSettings

RESULT = "result.json"
_BEST = "best.safetensors"
_KEY = "last"


@dataclass(frozen=True)
class SharedWork:
    """Everything that all seeds share.

    Attributes:
        name: Name of the network and of the folder it is published in.
        accelerator: Accelerate's handle of precision and processes.
        device: Device of this process.
        settings: Data, output and hardware.
        recipe: The recipe.
        create: Builds a new network, with weights from torch's random state.
        pictures: The training part, before the held-out share is taken.
        test: The test set, used once by each seed; or None.
        data_config: timm's: input size, mean, crop, ...
        eval_transform: A picture as the network is validated on it.
        workers: Processes that read images.
        roofline: What the devices could do at best; None if that is not known.
        finish: Publishes a finished network: folder, network, result.
        notes: Notes for the user at the start, one line each.
    """

    name: str
    accelerator: Accelerator
    device: torch.device
    settings: TrainCommandSettings
    recipe: Recipe
    create: Callable[[], nn.Module]
    pictures: Pictures
    test: Pictures | None
    data_config: dict[str, Any]
    eval_transform: Callable[[Any], Tensor]
    workers: int
    finish: Callable[[Path, nn.Module, dict[str, Any]], None]
    roofline: Roofline | None = None
    notes: tuple[str, ...] = ()


def run(work: SharedWork, folder: Path, seed: int) -> dict[str, Any]:
    """Trains with one seed, or reads the result of a finished training.

    Returns:
        The content of ``result.json``: curve, best epoch, held-out and test scores.

    Raises:
        UserError: If the loss diverges, an image is damaged or a checkpoint does not fit.
    """
    if (folder / RESULT).is_file():
        result: dict[str, Any] = json.loads((folder / RESULT).read_text())
        return result
    return _Run(work, folder, seed).run()


class _Run:
    def __init__(self, work: SharedWork, folder: Path, seed: int) -> None:
        self._work = work
        self._folder = folder
        self._seed = seed
        self._main = work.accelerator.is_main_process
        settings, recipe = work.settings, work.recipe
        train, self._val = work.pictures, None
        if settings.val_fraction:
            # The same images for every seed, so that seeds differ in training only.
            split = stratified_split(
                work.pictures.labels, settings.val_fraction, derive(settings.seed, "split")
            )
            train, self._val = work.pictures.take(split.train), work.pictures.take(split.val)
        self._train = train
        self._batches = Batches(
            len(train),
            recipe.batch_size,
            settings.accumulate,
            recipe.repeats,
            seed,
            work.accelerator.process_index,
            work.accelerator.num_processes,
        )
        if self._batches.size % 2 and (recipe.mixup or recipe.cutmix):
            raise SettingError(
                "batch_size",
                recipe.batch_size,
                f"must give each forward pass an even number of images for "
                f"Mixup and CutMix, not {self._batches.size}",
            )
        transform, finish = training_transform(recipe, work.data_config, work.pictures.flip)
        self._loader = loader(train, transform, self._batches, work.workers, work.device)
        torch.manual_seed(derive(seed, "init"))
        model = work.create()
        classes = len(work.pictures.class_names)
        updates = self._batches.updates
        with memory_advice(f"{work.name}: has no room on {work.device}; use {setting('device', 'cpu')}"):
            self._trainer = Trainer(
                *(work.accelerator, work.device, model, recipe, classes, updates, seed, finish),
                sync_bn=settings.sync_bn,
            )
        self._curve: list[dict[str, Any]] = []
        self._best: dict[str, Any] | None = None
        self._view = View()
        self._store = CheckpointStore(folder / "checkpoints", 0, on_note=lambda text: self._view.note(text))

    def run(self) -> dict[str, Any]:
        work, epochs = self._work, self._work.recipe.epochs + self._work.recipe.cooldown_epochs
        quiet = work.settings.quiet or not self._main
        first = self._resume()
        log = tracking.begin(
            work.accelerator, work.settings.log, work.settings.output, self._seed, work.recipe
        )
        slow = self._compiled() if work.settings.compile else ""
        output.doing("")
        with choose(quiet=quiet, updates=self._batches.updates, epochs=epochs) as self._view:
            for note in (*work.notes, slow, shortfall(work.recipe, self._batches.updates)):
                if note:
                    self._view.note(f"note: {note}")
            if log:
                self._view.note(log)
            begun = "continues with" if self._curve or first else "starts with"
            self._view.note(f"seed {self._seed}: {begun} epoch {len(self._curve) + 1}, update {first + 1}")
            with PeakMemory(work.device) as peak:
                for epoch in range(len(self._curve), epochs):
                    self._epoch(epoch, first, epochs, peak)
                    first = 0
        tracking.end(work.accelerator)
        return self._finish()

    def _compiled(self) -> str:
        """Compiles the network; says why not if it cannot be."""
        channels, height, width = self._work.data_config["input_size"]
        return self._trainer.compile((self._batches.size, channels, height, width))

    def _epoch(self, epoch: int, first: int, epochs: int, peak: PeakMemory) -> None:
        trainer, settings = self._trainer, self._work.settings
        self._batches.begin(epoch, first)
        speed = Speed(self._work.recipe.batch_size)

        def on_update(done: int, loss: float | None) -> None:
            self._view.update(epoch, done, loss, speed.tick())
            if done % settings.checkpoint_steps == 0 and done < self._batches.updates:
                self._save(epoch, done)

        short = (
            f"{setting('batch_size', self._work.recipe.batch_size)}: out of memory; split it by a larger "
            f"{setting('accumulate')} than {settings.accumulate}, or add {setting('grad_checkpointing')}"
        )
        try:
            with memory_advice(short):
                loss = trainer.epoch(iter(self._loader), epoch, first, settings.accumulate, on_update)
        except UserError as error:
            raise from_reader(error) from None
        seconds = speed.seconds
        images = (self._batches.updates - first) * self._work.recipe.batch_size
        if self._work.recipe.average:
            self._settle_norms()
        scores = None if self._val is None else self._judge(self._val)
        row: dict[str, Any] = {
            "epoch": epoch + 1,
            "train_loss": loss,
            "val_loss": None if scores is None else scores.loss,
            "val_top1": None if scores is None else scores.top1,
            "val_top5": None if scores is None else scores.top5,
            "lr": trainer.lr,
            "images_per_second": images / seconds,
            "roofline_share": None
            if self._work.roofline is None
            else self._work.roofline.share(images / seconds),
            "seconds": seconds,
            "peak_memory": peak.bytes,
        }
        better = scores is None or self._best is None or scores.top1 > self._best["top1"]
        if better:
            self._best = {"epoch": epoch + 1, **({} if scores is None else scores.to_json())}
            self._keep_weights()
        self._curve.append(row)
        self._save(epoch + 1, 0)
        self._work.accelerator.log(
            {key: value for key, value in row.items() if key != "epoch" and value is not None}, step=epoch + 1
        )
        left = (epochs - epoch - 1) * sum(r["seconds"] for r in self._curve) / len(self._curve)
        self._view.epoch({**row, "best": better}, epochs, left)

    def _settle_norms(self) -> None:
        """Estimates the statistics of batch norms for averaged weights, which have none."""
        index = np.arange(0, len(self._train), math.ceil(len(self._train) / NORM_IMAGES))
        some = Transformed(self._train.take(index), self._work.eval_transform)
        batches = DataLoader(some, batch_size=max(2 * self._batches.size, 128))
        settle_batch_norm(
            self._trainer.evaluated,
            (images.to(self._work.device, memory_format=torch.channels_last) for images, _ in batches),
            self._work.device,
            AMP[self._work.accelerator.mixed_precision],
        )

    def _judge(self, pictures: Pictures) -> Scores:
        from accelerate.utils import gather_object

        accelerator = self._work.accelerator
        rank, processes = accelerator.process_index, accelerator.num_processes
        at_once = max(2 * self._batches.size, 64)
        accumulate = self._work.settings.accumulate
        with memory_advice(
            f"{setting('accumulate', accumulate)}: out of memory with {at_once} images at once; "
            "must be larger"
        ):
            mine = predict(
                self._trainer.evaluated,
                Transformed(pictures, self._work.eval_transform, rank, processes),
                self._work.device,
                batch_size=at_once,
                workers=self._work.workers,
                amp=AMP[accelerator.mixed_precision],
            )
        parts: list[Predictions] = gather_object([mine]) if processes > 1 else [mine]
        return Scores.of(Predictions.interleaved(parts))

    def _keep_weights(self) -> None:
        from safetensors.torch import save_file

        if not self._main:
            return
        state = {
            key: value.detach().cpu().contiguous()
            for key, value in self._trainer.evaluated.state_dict().items()
        }
        with self._written():
            self._folder.mkdir(parents=True, exist_ok=True)
            with replacing(self._folder / _BEST) as temporary:
                save_file(state, temporary)

    def _save(self, epoch: int, update: int) -> None:
        state = self._trainer.state()
        if not self._main:
            return
        done = epoch * self._batches.updates + update
        state |= {"epoch": epoch, "update": update, "curve": self._curve, "best": self._best}
        with self._written():
            self._store.save(_KEY, done, state)

    def _written(self) -> AbstractContextManager[None]:
        return written(setting("output", self._folder), "make it writable and give the command again")

    def _resume(self) -> int:
        """Loads the last checkpoint; returns the number of updates done in the next epoch."""
        found = self._store.latest(_KEY, 2**62)
        if found is None:
            return 0
        state = found[1]
        try:
            self._trainer.load(state)
        except (KeyError, RuntimeError, ValueError) as error:
            reason = first_line(error)
            raise UserError(f"{self._folder}/checkpoints: does not fit the network ({reason})") from error
        self._curve, self._best = list(state["curve"]), state["best"]
        return int(state["update"])

    def _finish(self) -> dict[str, Any]:
        from safetensors.torch import load_file

        work = self._work
        began = time.perf_counter()
        work.accelerator.wait_for_everyone()  # the first process has written the best weights
        self._trainer.evaluated.load_state_dict(load_file(self._folder / _BEST))
        if work.test is not None:
            output.doing(f"judging {counted(len(work.test.labels), 'test image')}")
        test = None if work.test is None else self._judge(work.test)
        assert self._best is not None
        result: dict[str, Any] = {
            "seed": self._seed,
            "best": self._best if self._val is not None else None,
            "epochs": len(self._curve),
            "test": None if test is None else test.to_json(),
            "test_seconds": time.perf_counter() - began,
            "train_seconds": sum(row["seconds"] for row in self._curve),
            "curve": self._curve,
        }
        if self._main:
            work.finish(self._folder / work.name, self._trainer.evaluated, result)
            with self._written():
                write_json(self._folder / RESULT, result)
                shutil.rmtree(self._folder / "checkpoints", ignore_errors=True)
                (self._folder / _BEST).unlink()
        work.accelerator.wait_for_everyone()
        return result


AMP = {"no": None, "bf16": torch.bfloat16, "fp16": torch.float16}
