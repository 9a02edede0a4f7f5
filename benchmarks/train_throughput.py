"""Images a second of training, against the loop most people would write with timm.

``ours`` is what a trial does, its images included, on a GPU with ``--no-cuda-graphs``; ``ours, graphs``, on
a GPU, the same with them, as is the default; ``ours, N at once``, on a CPU, N trials of one thread each.
``plain`` (a) is a loop with DataLoader workers, RandAugment on PIL images, eager and channels first, in
float32 and, on a GPU, with automatic mixed precision; ``plain, no data`` (b) is the same on one batch that
lies on the device. The update rule, LAMB, is the same everywhere; ratios are those of the fastest of ours.

Every way of training is a process of its own; they take turns, and the ratios are medians over the
turns, so that whatever else the machine does meets all alike. ``by CPU time`` compares images a CPU
second, ours and plain with its workers: what the clock would say of a CPU that is busy all the time.
The roofline is the larger of the floors of operations and bytes (``benchmarks.workload.floors``) at the
ceilings that a matrix product and a copy reach on the same device, in the same precision.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import os
import statistics
import time
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import tyro

from benchmarks.workload import (
    CLASSES,
    SIDE,
    SPACE,
    ceilings,
    floors,
    machine,
    network,
    random_data,
    random_images,
    wait,
)
from nas.training.graphs import CudaRecorder, Eager
from nas.training.kernels import FastLayers
from nas.training.memory import keep_freed_memory
from nas.training.settings import TrainSettings
from nas.training.trainer import Trainer, wants_bf16

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.connection import Connection

_TRAINING_IMAGES = 40_000  # the presets' own batch sizes
_WARM_UP = 4  # steps; more than a DataLoader has batches waiting at its start


@dataclass(frozen=True)
class Options:
    """What to time."""

    device: str = "cpu"
    """cpu, cuda or cuda:N."""
    widths: tuple[int, ...] = tuple(SPACE.presets.values())
    """Widths of the reduced network."""
    points: tuple[str, ...] = ("xception", "nexception", "cheapest", "dearest")
    """Named points of the space."""
    batch_size: int | None = None
    """Images a step; unset: the preset's."""
    turns: int = 5
    """How often each way of training has its turn."""
    seconds: float = 2.0
    """Length of a turn, and never less than three steps."""
    json: Path | None = None
    """Writes all figures there."""


@dataclass(frozen=True)
class Way:
    """A way of training: its name, threads, and processes that train at once."""

    name: str
    threads: int
    processes: int = 1


def ways(device: str) -> list[Way]:
    """What is compared."""
    cores = len(os.sched_getaffinity(0))
    found = [Way("ours", cores)]
    if device == "cpu":
        found.append(Way(f"ours, {cores} at once", 1, cores))
    else:
        found += [Way("ours, graphs", cores), Way("plain amp", cores), Way("plain amp, no data", cores)]
    return [*found, Way("plain", cores), Way("plain, no data", cores)]


def our_steps(options: Options, point: str, width: int, graphs: bool) -> Iterator[int]:
    """Trains as a trial does; yields the images of each step."""
    keep_freed_memory()
    data = random_data(options.device)
    recipe = TrainSettings(batch_size=options.batch_size).resolve(width, _TRAINING_IMAGES)
    recorder = None
    if torch.device(options.device).type == "cuda":
        recorder = CudaRecorder() if graphs else Eager()
    trainer = Trainer(
        network(point, width),
        data,
        recipe,
        max_epochs=1,
        layers=FastLayers(data.device, partial(print, flush=True)),
        recorder=recorder,
        on_note=partial(print, flush=True),
    )
    for _ in trainer.endless():
        yield recipe.batch_size


def plain_steps(options: Options, point: str, width: int, amp: bool, with_data: bool) -> Iterator[int]:
    """Trains as most people would write it; yields the images of each step."""
    from timm.optim import create_optimizer_v2

    device = torch.device(options.device)
    recipe = TrainSettings(batch_size=options.batch_size).resolve(width, _TRAINING_IMAGES)
    model = network(point, width).to(device).train()
    optimizer = create_optimizer_v2(model, "lamb", lr=recipe.lr, weight_decay=recipe.weight_decay)
    scaler = torch.amp.GradScaler(device.type, enabled=amp)
    if with_data:
        batches = _loader_batches(recipe.batch_size)
    else:
        images = torch.randn(recipe.batch_size, 3, SIDE, SIDE, device=device)
        batches = itertools.repeat((images, torch.arange(recipe.batch_size, device=device) % CLASSES))
    for images, labels in batches:
        images, labels = images.to(device, non_blocking=True), labels.to(device, non_blocking=True)
        with torch.autocast(device.type, torch.float16) if amp else nullcontext():
            loss = torch.nn.functional.cross_entropy(model(images), labels, label_smoothing=recipe.smoothing)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        loss.item()  # for the progress bar
        yield recipe.batch_size


def _loader_batches(batch_size: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    from timm.data import create_transform
    from torch.utils.data import DataLoader

    transform = create_transform(SIDE, is_training=True, auto_augment="rand-m9-mstd0.5")
    loader = DataLoader(
        _Pictures(transform),
        batch_size,
        shuffle=True,
        num_workers=len(os.sched_getaffinity(0)),
        drop_last=True,
        pin_memory=torch.cuda.is_available(),
    )
    return itertools.chain.from_iterable(itertools.repeat(loader))


class _Pictures(torch.utils.data.Dataset[Any]):
    """Images as a folder of pictures gives them, without the decoding."""

    def __init__(self, transform: Callable[[Any], torch.Tensor]) -> None:
        self._images, self._labels = random_images(_TRAINING_IMAGES)
        self._transform = transform

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        from PIL import Image

        return self._transform(Image.fromarray(self._images[index])), int(self._labels[index])


def steps_of(way: Way, options: Options, point: str, width: int) -> Iterator[int]:
    """The steps of a way of training."""
    if way.name.startswith("ours"):
        return our_steps(options, point, width, "graphs" in way.name)
    return plain_steps(options, point, width, "amp" in way.name, "no data" not in way.name)


def train(pipe: Connection, way: Way, options: Options) -> None:
    """A process that trains: takes networks and turns, answers with images a second."""
    torch.set_num_threads(way.threads)
    device = torch.device(options.device)
    steps: Iterator[int] = iter(())
    while True:
        try:
            request = pipe.recv()
        except EOFError:
            return
        if request == "turn":
            images, taken, began, spent = 0, 0, time.perf_counter(), cpu_seconds()
            while taken < 3 or time.perf_counter() - began < options.seconds:
                images += next(steps)
                taken += 1
                wait(device)
            pipe.send((images / (time.perf_counter() - began), images / (cpu_seconds() - spent)))
            continue
        steps = steps_of(way, options, *request)
        for _ in range(_WARM_UP):
            next(steps)
        wait(device)
        pipe.send(True)


def cpu_seconds() -> float:
    """CPU time of this process and of its DataLoader's workers, seconds."""
    ticks = 0
    for child in multiprocessing.active_children():
        with suppress(OSError):
            fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")


class Contest:
    """One process for each way of training, or as many as it trains at once."""

    def __init__(self, options: Options) -> None:
        """Starts the processes."""
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in a search; for all alike
        context = multiprocessing.get_context("spawn")
        self._turns = options.turns
        self._processes = []
        self._teams: dict[str, list[Connection]] = {}
        for way in ways(options.device):
            for _ in range(way.processes):
                pipe, far = context.Pipe()
                self._processes.append(context.Process(target=train, args=(far, way, options)))
                self._processes[-1].start()
                far.close()
                self._teams.setdefault(way.name, []).append(pipe)

    def __enter__(self) -> Contest:
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in itertools.chain.from_iterable(self._teams.values()):
            pipe.close()  # each ends by itself, and its DataLoader's workers with it
        for process in self._processes:
            process.join()

    def rates(self, point: str, width: int) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
        """Images a second, and a CPU second, of every way of training, turn by turn."""
        for pipe in itertools.chain.from_iterable(self._teams.values()):
            pipe.send((point, width))
            pipe.recv()
        rates: dict[str, list[float]] = {name: [] for name in self._teams}
        frugality: dict[str, list[float]] = {name: [] for name in self._teams}
        for _ in range(self._turns):
            for name, team in self._teams.items():
                for pipe in team:
                    pipe.send("turn")
                by_clock, by_cpu = zip(*(pipe.recv() for pipe in team), strict=True)
                rates[name].append(sum(by_clock))
                frugality[name].append(statistics.mean(by_cpu))
        return rates, frugality


def roofline(options: Options, point: str, width: int, limits: tuple[float, float]) -> dict[str, float]:
    """Floors of a step, in seconds, and the images a second that the larger one allows."""
    device = torch.device(options.device)
    recipe = TrainSettings(batch_size=options.batch_size).resolve(width, _TRAINING_IMAGES)
    size = 2 if wants_bf16(recipe.amp, device) else 4
    flops, moved = floors(network(point, width), recipe.batch_size, size)
    operations, bytes_ = flops / limits[0], moved / limits[1]
    most = recipe.batch_size / max(operations, bytes_)
    return {
        "batch_size": recipe.batch_size,
        "operations_seconds": operations,
        "bytes_seconds": bytes_,
        "most": most,
    }


def main(options: Options) -> dict[str, Any]:
    """Prints a Markdown table; returns all figures."""
    device = torch.device(options.device)
    dtype = torch.bfloat16 if wants_bf16("auto", device) else torch.float32
    limits = ceilings(device, dtype)
    print(f"ceilings: {limits[0] / 1e9:,.0f} GFLOP/s ({dtype}), {limits[1] / 1e9:,.1f} GB/s\n")
    names = [way.name for way in ways(options.device)]
    print("| width | network | batch | " + " | ".join(f"{name}, img/s" for name in names), end=" ")
    print("| ours : plain | ours : plain, no data | by CPU time | share of roofline | floor |")
    print("|---" * (len(names) + 8) + "|", flush=True)
    results = []
    with Contest(options) as contest:
        for width, point in itertools.product(options.widths, options.points):
            rates, frugality = contest.rates(point, width)
            result: dict[str, Any] = {
                "width": width,
                "point": point,
                "rates": rates,
                **roofline(options, point, width, limits),
            }
            result |= judged(rates, result["most"])
            by_cpu = judged(frugality, 1.0)["against_plain"]
            result |= {"frugality": frugality, "cpu_against_plain": by_cpu}
            print(row(result), flush=True)
            results.append(result)
    found = {**machine(device), "flops": limits[0], "bytes": limits[1], "results": results}
    if options.json is not None:
        options.json.write_text(json.dumps(found, indent=1) + "\n")
    return found


def judged(rates: dict[str, list[float]], most: float) -> dict[str, Any]:
    """The fastest of our ways against the plain one's and the roofline."""
    best = max((n for n in rates if n.startswith("ours")), key=lambda name: statistics.median(rates[name]))
    plain = "plain amp" if "plain amp" in rates else "plain"
    return {
        "best": best,
        "against_plain": ratio(rates[best], rates[plain]),
        "against_no_data": ratio(rates[best], rates[f"{plain}, no data"]),
        "share": statistics.median(rates[best]) / most,
    }


def row(result: dict[str, Any]) -> str:
    """A row of the table."""
    figures = [f"{statistics.median(rates):,.0f}" for rates in result["rates"].values()]
    bound = "bytes" if result["bytes_seconds"] > result["operations_seconds"] else "operations"
    cells = [result["width"], result["point"], result["batch_size"], *figures]
    cells += [f"{result[key]:.1f}" for key in ("against_plain", "against_no_data", "cpu_against_plain")]
    return "| " + " | ".join(map(str, [*cells, f"{100 * result['share']:.0f} %", bound])) + " |"


def ratio(one: list[float], other: list[float]) -> float:
    """The median over turns of how many times faster one is."""
    return statistics.median(a / b for a, b in zip(one, other, strict=True))


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
