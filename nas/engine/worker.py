"""The trial process: what it is told, and its main loop.

Light to import, since the search imports it too; torch comes in with :mod:`nas.engine.bench`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from nas import signals
from nas.engine.messages import TrialSpec
from nas.errors import UserError
from nas.seeds import derive

if TYPE_CHECKING:
    from collections.abc import Mapping
    from multiprocessing.connection import Connection
    from pathlib import Path

    from nas.data.images import ImageSet
    from nas.training.settings import TrainSettings
    from search_spaces.base import Config

PAUSE = "pause"
READY, GO = "ready", "go"


@dataclass(frozen=True)
class WorkerSettings:
    """What a trial process needs to know, wherever it runs.

    Attributes:
        space: Name of the search space.
        width: Width of the reduced network, or a preset's name, or ``auto``.
        dataset: Which images.
        data_dir: Where they are kept.
        image_size: Side to resize to, None for the source's own.
        max_images: Stratified part to use, None for all.
        val_fraction: Share of the images that trials are judged on.
        seed: Master seed.
        max_epochs: Highest rung; the learning-rate schedule spans it.
        train: Training settings, ``None`` meaning the preset's own.
        device: auto, cpu, cuda or cuda:N.
        threads: CPU threads, None for all cores.
        checkpoints: Folder for checkpoints.
        quota_bytes: Disk for checkpoints.
        checkpoint_every: Seconds of training that a kill may cost.
        cuda_graphs: Record a trial's steps and validation batches as CUDA graphs, None: on a GPU.
        reference: Leave out every faster way of computing the same.
        environment: Variables of the process, beside those it inherits.
    """

    space: str
    width: str
    dataset: str
    data_dir: Path
    image_size: int | None
    max_images: int | None
    val_fraction: float
    seed: int
    max_epochs: int
    train: TrainSettings
    device: str
    threads: int | None
    checkpoints: Path
    quota_bytes: int
    checkpoint_every: float = 30.0
    cuda_graphs: bool | None = None
    reference: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Measure:
    """Asks for timed steps of a configuration."""

    config: Config


@dataclass(frozen=True)
class Pace:
    """Asks for the speed of a configuration within a window that other processes' windows coincide with.

    The process gets ready, says :data:`READY`, and begins when it is told :data:`GO`.
    """

    config: Config
    seconds: float


@dataclass(frozen=True)
class Coming:
    """Says which trial this process will probably be given next, so that it can prepare."""

    spec: TrialSpec


def main(pipe: Connection, lifeline: Connection, settings: WorkerSettings, output: str) -> None:
    """Entry point of the process: says what it is, then answers until the pipe closes.

    Args:
        pipe: Requests in, reports out.
        lifeline: Closed when the search dies; the process then ends, even amid native code.
        settings: What to train on.
        output: File that takes what libraries print, so that it does not spoil the terminal.
    """
    signals.left_to_the_search()
    _be_killed_with(lifeline)
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    sink = os.open(output, os.O_WRONLY | os.O_APPEND)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    os.environ.update(settings.environment)
    # Threads that wait must sleep: spinning, they starve whatever else the machine runs, and
    # themselves: a step measured 60 times slower beside three other programs on two cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Networks of all sizes come after one another: segments that grow do not fragment the GPU's memory.
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    try:
        images = _load(settings)  # before torch comes in: what is wrong is told within a second
        from nas.engine.bench import Bench

        bench = Bench(settings, images, pipe)
    except UserError as error:
        pipe.send(error)
        return
    pipe.send(bench.facts)
    while True:
        try:
            request = pipe.recv()
        except EOFError:
            return
        if isinstance(request, TrialSpec):
            bench.run(request)
        elif isinstance(request, Measure):
            pipe.send(bench.measure(request.config))
        elif isinstance(request, Coming):
            bench.prepare(request.spec)
        elif isinstance(request, Pace):
            pipe.send(bench.pace(request))


def named_width(name: str, presets: Mapping[str, int]) -> int | None:
    """Reads ``--width``.

    Args:
        name: ``auto``, the name of a preset, or a number.
        presets: The search space's named widths.

    Returns:
        The width, None for ``auto``, which depends on the device.

    Raises:
        UserError: If it is none of these.
    """
    if name == "auto":
        return None
    if name in presets:
        return presets[name]
    try:
        return int(name)
    except ValueError:
        raise UserError(f"--width {name}: must be auto, {', '.join(presets)} or a number") from None


def _load(settings: WorkerSettings) -> ImageSet:
    import search_spaces
    from nas.data import sources

    space = search_spaces.get(settings.space)
    width = named_width(settings.width, space.presets)
    if width is not None:
        space.reduced(width)
    images = sources.load(
        settings.dataset,
        data_dir=settings.data_dir,
        image_size=settings.image_size,
        max_images=settings.max_images,
        seed=derive(0, "subset"),  # of the data, not of the run: other seeds search on the same images
    )
    height, width = images.images.shape[1:3]
    if height != width:
        raise UserError(
            f"{settings.dataset}: images of {height}x{width} pixels; "
            f"--image-size {min(height, width)} crops them square"
        )
    return images


def _be_killed_with(lifeline: Connection) -> None:
    """Has the system end this process with SIGIO once the other end is closed.

    A thread cannot: it waits for ever for native code that hangs without releasing the interpreter. On
    systems other than Linux SIGIO is ignored, and the thread is all there is.
    """
    number = lifeline.fileno()
    with contextlib.suppress(OSError):
        fcntl.fcntl(number, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(number, fcntl.F_SETFL, fcntl.fcntl(number, fcntl.F_GETFL) | os.O_ASYNC)


def _end_with(lifeline: Connection) -> None:
    wait([lifeline])  # a blocking read would keep the system from sending SIGIO
    os._exit(0)
