"""The trial process: its messages and its main loop.

Light to import, since the search imports it too; :mod:`nas.execution.trial_host` imports torch.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from multiprocessing.connection import wait
from typing import TYPE_CHECKING

from nas.execution.messages import Measure, MeasureCosts, MeasureSpeed, NextTrial, TrialSpec
from nas.execution.settings import WorkerSettings, named_width
from nas.util import signals
from nas.util.errors import UserError, setting
from nas.util.seeds import derive

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from nas.data.images import ImageSet


def main(pipe: Connection, lifeline: Connection, settings: WorkerSettings, output: str) -> None:
    """Entry point of the process: sends its facts, then answers requests until the pipe closes.

    Args:
        pipe: Requests in, reports out.
        lifeline: Closed when the search dies; the process then ends, even inside native code.
        settings: Settings of the process.
        output: File for whatever libraries print, which would otherwise spoil the terminal.
    """
    signals.ignore_ending()
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
    serve(pipe, settings)


def serve(pipe: Connection, settings: WorkerSettings) -> None:
    """Sends its facts, or what is wrong, then answers requests until the pipe closes.

    Args:
        pipe: Requests in, reports out.
        settings: Settings of the process.
    """
    try:
        images = _load(settings)  # before torch is imported, so that errors are reported within a second
        from nas.execution.trial_host import TrialHost

        host = TrialHost(settings, images, pipe)
    except UserError as error:
        pipe.send(error)
        return
    pipe.send(host.facts)
    while True:
        try:
            request = pipe.recv()
        except EOFError:
            return
        if isinstance(request, TrialSpec):
            host.run(request)
        elif isinstance(request, Measure):
            pipe.send(host.measure(request.config))
        elif isinstance(request, MeasureCosts):
            pipe.send(host.costs(request.config))
        elif isinstance(request, NextTrial):
            host.prepare(request.spec)
        elif isinstance(request, MeasureSpeed):
            pipe.send(host.measure_speed(request))


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
        seed=derive(0, "subset"),  # depends on the data only: runs with other seeds use the same images
    )
    height, width = images.images.shape[1:3]
    if height != width:
        raise UserError(
            f"{settings.dataset}: images of {height}x{width} pixels; "
            f"{setting('image_size', min(height, width))} crops them square"
        )
    return images


def _be_killed_with(lifeline: Connection) -> None:
    """Makes the system end this process with SIGIO once the other end is closed.

    A thread cannot do it: it would wait forever for native code that hangs without releasing the
    interpreter. On systems other than Linux SIGIO is ignored, and only the thread is left.
    """
    number = lifeline.fileno()
    with contextlib.suppress(OSError):
        fcntl.fcntl(number, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(number, fcntl.F_SETFL, fcntl.fcntl(number, fcntl.F_GETFL) | os.O_ASYNC)


def _end_with(lifeline: Connection) -> None:
    wait([lifeline])  # a blocking read would keep the system from sending SIGIO
    os._exit(0)
