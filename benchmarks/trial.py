"""A trial as the trial process runs it, in this process and watched epoch by epoch.

The benchmarks time what the trial process (:class:`nas.execution.trial_host.TrialHost`) does with a
configuration, deterministic kernels, faster layers, recording and validation included, and nothing that
was written for them.
"""

from __future__ import annotations

import atexit
import gc
import math
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.workload import SPACE, random_images
from nas.data.images import checked
from nas.execution.messages import EpochDone, Note, TrialEnded, TrialSpec
from nas.execution.settings import WorkerSettings
from nas.execution.trial_host import TrialHost
from nas.trial.settings import TrainSettings
from search_spaces.base import config_id

if TYPE_CHECKING:
    from collections.abc import Callable

    from search_spaces.base import Config

TRAINING_IMAGES = 40_000  # of CIFAR-10: decides the batch size, as in a real search
_VAL_FRACTION = 0.1
_EPOCHS = 1_000_000  # nobody waits for the last one

atexit.register(gc.unfreeze)  # a trial host freezes; libraries complain of what is left at the end


class StopWatching(BaseException):
    """Raised to end a watched trial. Not an Exception, which would count as the trial's own crash."""


@dataclass(frozen=True)
class Epoch:
    """An epoch of a watched trial.

    Attributes:
        images: Number of images trained on.
        train_seconds: Training time by the trial's own clock.
        val_seconds: Time to estimate batch norms and validate, likewise.
        done: Seconds since the trial was handed over.
    """

    images: int
    train_seconds: float
    val_seconds: float
    done: float


@dataclass(frozen=True)
class TrialSetup:
    """Device and workload of watched trials.

    Attributes:
        width: Width of the reduced network.
        steps: Steps per epoch.
        device: cpu, cuda or cuda:N.
        batch_size: Images per step; None for the width's default.
        threads: CPU threads, None for all cores.
        reference: Whether to leave out all faster layers.
    """

    width: int
    steps: int
    device: str = "cpu"
    batch_size: int | None = None
    threads: int | None = None
    reference: bool = False


def batch_size(width: int, wanted: int | None = None) -> int:
    """Returns the batch size of a search on CIFAR-10, unless another one is given."""
    return TrainSettings(batch_size=wanted).resolve(width, TRAINING_IMAGES).batch_size


def settings(
    setup: TrialSetup, folder: Path, *, dataset: str = "random", max_epochs: int = 1
) -> WorkerSettings:
    """Returns the settings of a trial process that trains on random images."""
    return WorkerSettings(
        space=SPACE.name,
        width=str(setup.width),
        dataset=dataset,
        data_dir=folder,
        image_size=None,
        max_images=None,
        val_fraction=_VAL_FRACTION,
        seed=0,
        max_epochs=max_epochs,
        train=TrainSettings(batch_size=batch_size(setup.width, setup.batch_size)),
        device=setup.device,
        threads=setup.threads,
        checkpoints=folder / "checkpoints",
        quota_bytes=1 << 30,
        checkpoint_every=math.inf,
        reference=setup.reference,
    )


class TrialWatcher:
    """Runs trials as a trial process does, on random images, and reports their epochs.

    Attributes:
        notes: Messages of the trials, such as why a step was not recorded.
    """

    def __init__(self, setup: TrialSetup) -> None:
        """Places the images on the device."""
        batch = batch_size(setup.width, setup.batch_size)
        images = checked("random", *random_images(math.ceil(setup.steps * batch / (1 - _VAL_FRACTION)) + 20))
        self._folder = tempfile.TemporaryDirectory()
        self._pipe = _Pipe()
        told = settings(setup, Path(self._folder.name), max_epochs=_EPOCHS)
        self._host = TrialHost(told, images, self._pipe)  # type: ignore[arg-type]
        self._images = batch * ((self._host.facts.data.train_images or 0) // batch)

    @property
    def notes(self) -> list[str]:
        """Each note once, without the trial's number."""
        return list(dict.fromkeys(self._pipe.notes))

    def watch(self, config: Config, on_epoch: Callable[[Epoch], None], seed: int = 0) -> None:
        """Hands a configuration over; returns when ``on_epoch`` has raised :class:`StopWatching`.

        Raises:
            RuntimeError: If the trial crashed.
        """
        began = time.perf_counter()

        def told(report: object) -> None:
            if isinstance(report, TrialEnded):
                raise RuntimeError(f"the trial crashed: {report.reason}")
            if isinstance(report, EpochDone):
                took = report.metrics["train_seconds"], report.metrics["val_seconds"]
                on_epoch(Epoch(self._images, *took, time.perf_counter() - began))

        self._pipe.on_report = told
        try:
            self._host.run(TrialSpec(0, config_id(config), config, _EPOCHS, seed, math.inf))
        except StopWatching:
            self._host._free()  # as after every trial


@dataclass
class _Pipe:
    """Takes the place of the pipe to the search; never asks for a pause."""

    on_report: Callable[[object], None] = lambda _: None
    notes: list[str] = field(default_factory=list)

    def send(self, report: object) -> None:
        if isinstance(report, Note):
            self.notes.append(report.text.removeprefix("trial 0: "))
        self.on_report(report)

    def poll(self, *_: object) -> bool:
        return False
