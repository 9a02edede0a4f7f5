"""The time of a trial beyond its training steps, part by part, and how idle that leaves a search.

The parts are the calls that the trial process makes, each timed on its own (medians); the first rows are
measured from outside, through the executor that a search uses. On a CPU shared with other programs, the
parts' CPU time is what counts.
"""

from __future__ import annotations

import copy
import gc
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from benchmarks.trial import TrialSetup, batch_size
from benchmarks.trial import settings as trial_settings
from benchmarks.workload import (
    CLASSES,
    SIDE,
    SPACE,
    command,
    machine,
    network,
    random_images,
    write_json,
)
from nas.data.augment import train_batches
from nas.data.device import DeviceData
from nas.data.images import checked
from nas.execution.local import LocalExecutor
from nas.execution.messages import TrialEnded, TrialSpec
from nas.run.events import Ended
from nas.run.journal import Journal
from nas.trial.checkpoint import CheckpointStore
from nas.trial.graphs import CudaRecorder
from nas.trial.kernels import FastLayers
from nas.trial.loop import _state, reproducible
from nas.trial.memory import free_memory
from nas.trial.settings import TrainSettings
from nas.trial.snapshot import Snapshot
from nas.trial.trainer import Trainer, augmentation_of
from nas.util.counts import count
from nas.util.machine import synchronize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import nn


@dataclass(frozen=True)
class TrialOverheadSettings:
    """What to time."""

    device: str = "cpu"
    """cpu, cuda or cuda:N."""
    width: int = 16
    """Width of the reduced network."""
    point: str = "nexception"
    """Named point of the space."""
    images: int = 4000
    """Random images, a tenth of them for validation."""
    times: int = 7
    """Trials through the executor, and repeats of each part."""
    threads: int = 1
    """CPU threads."""
    json: Path | None = None
    """Writes all figures there."""


def through_executor(options: TrialOverheadSettings, folder: Path) -> tuple[float, list[float], list[float]]:
    """Starts a trial process and runs one-epoch trials in it.

    Returns:
        Seconds until the process is ready; of every trial, seconds beyond training and validation, and
        seconds in all.
    """
    images, labels = random_images(options.images)
    np.savez(folder / "random.npz", x_train=images, y_train=labels)
    place = TrialSetup(options.width, 1, options.device, threads=options.threads)
    settings = trial_settings(place, folder, dataset=f"npz:{folder / 'random.npz'}")
    with closing(LocalExecutor(settings)) as executor:
        began = time.perf_counter()
        executor.start()
        ready = time.perf_counter() - began
        beyond, whole = [], []
        for number in range(options.times + 1):
            began = time.perf_counter()
            config = SPACE.points[options.point]
            executor.submit(TrialSpec(number, f"{number:012x}", config, 1, number, 3600.0))
            stepping = 0.0
            end: TrialEnded | None = None
            while end is None:
                for report in executor.poll(0.25):
                    if isinstance(report, TrialEnded):
                        end = report
                    elif hasattr(report, "metrics"):
                        stepping += report.metrics["train_seconds"] + report.metrics["val_seconds"]
            assert end.error is not None, end.reason
            whole.append(time.perf_counter() - began)
            beyond.append(whole[-1] - stepping)
    return ready, beyond, whole


def parts(options: TrialOverheadSettings, folder: Path) -> Iterator[tuple[str, Cost]]:
    """Times the parts of a one-epoch trial; yields their names and costs."""
    torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    images = checked("random", *random_images(options.images))
    data = DeviceData.place(images, val_fraction=0.1, seed=0, device=device)
    recipe = TrainSettings(batch_size=batch_size(options.width)).resolve(options.width, len(data.train))

    def cost(run: Callable[[], object]) -> Cost:
        run()
        return Cost.median([Cost.of(run, device) for _ in range(options.times)])

    model = network(options.point, options.width)
    yield "build the network", cost(lambda: network(options.point, options.width))
    yield "count it", cost(lambda: count(model, SIDE))
    layers = FastLayers(device)
    recorder = CudaRecorder() if device.type == "cuda" else None

    def trainer_of(model: nn.Module) -> Trainer:
        return Trainer(model, data, recipe, max_epochs=1, layers=layers, recorder=recorder)

    yield "optimiser, average, to the device", cost(lambda: trainer_of(copy.deepcopy(model)))
    trainer = trainer_of(model)
    endless = trainer.endless()
    steps = [Cost.of(lambda: next(endless), device) for _ in range(min(trainer.steps, 10))]
    usual = Cost.median(steps[1:])
    yield "first step beyond the others", steps[0] - usual
    yield "(a training step)", usual
    yield f"({trainer.steps} training steps)", usual * trainer.steps
    augmentation = augmentation_of(recipe)
    yield (
        "draw the epoch's choices",
        cost(lambda: next(train_batches(data, augmentation, trainer.batch_size, 1))),
    )
    yield "validate, batch norms included", cost(lambda: trainer.validate())
    snapshot = Snapshot(lambda: _state(trainer, [], ""), device)
    yield "copy the state", cost(snapshot)
    state = snapshot()
    store = CheckpointStore(folder / "parts", 1 << 30)
    yield "write the checkpoint", cost(lambda: store.save("0" * 12, 1, state))
    yield "read the checkpoint", cost(lambda: store.latest("0" * 12, 1))
    with Journal(folder / "trials.jsonl", 0) as journal:
        metrics = {str(n): 0.5 for n in range(12)}

        def journal_trial() -> None:
            for number in range(4):  # asked, started, ended, incumbent
                journal.append(
                    Ended(
                        "",
                        0.0,
                        trial=number,
                        status="success",
                        error=0.5,
                        metrics=metrics,
                        reason="",
                        seconds=1.0,
                    )
                )

        yield "journal, four events on the disk", cost(journal_trial)
    gc.freeze()  # as the trial process does
    yield "return the memory", cost(lambda: free_memory(device))
    gc.unfreeze()


class Cost(NamedTuple):
    """Seconds by the clock, and of this process's CPU time."""

    wall: float
    cpu: float

    @classmethod
    def of(cls, run: Callable[[], object], device: torch.device) -> Cost:
        """What a call costs."""
        synchronize(device)
        wall, cpu = time.perf_counter(), time.process_time()
        run()
        synchronize(device)
        return cls(time.perf_counter() - wall, time.process_time() - cpu)

    @classmethod
    def median(cls, costs: Sequence[Cost]) -> Cost:
        """Of both, each on its own."""
        return cls(*np.median(np.array(costs), axis=0).tolist())

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.wall - other.wall, self.cpu - other.cpu)

    def __mul__(self, times: object) -> Cost:
        assert isinstance(times, int)
        return Cost(self.wall * times, self.cpu * times)


def main(options: TrialOverheadSettings) -> dict[str, Any]:
    """Prints a Markdown table; returns all figures."""
    with tempfile.TemporaryDirectory() as name:
        ready, beyond, whole = through_executor(options, Path(name))
        rows: dict[str, tuple[float, float | None]] = {
            "start the trial process, once": (ready, None),
            "first trial, beyond its epoch": (beyond[0], None),
            "later trials, beyond their epoch": (float(np.median(beyond[1:])), None),
            "later trials, in all": (float(np.median(whole[1:])), None),
        }
        with reproducible(torch.device(options.device)):
            rows |= dict(parts(options, Path(name)))
    print("| part | wall, ms | CPU, ms |\n|---|---|---|")
    for part, (wall, cpu) in rows.items():
        print(f"| {part} | {1e3 * wall:,.1f} | {'' if cpu is None else f'{1e3 * cpu:,.1f}'} |")
    found = {**machine(torch.device(options.device)), "classes": CLASSES, "parts": rows}
    write_json(options.json, found)
    return found


if __name__ == "__main__":
    command(main, TrialOverheadSettings, __doc__)
