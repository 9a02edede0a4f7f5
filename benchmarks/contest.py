"""Methods of training that take turns: each has a process that trains one network after another."""

from __future__ import annotations

import itertools
import math
import multiprocessing
import os
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from benchmarks.plain import Amp, Loop
from benchmarks.trial import Epoch, StopWatching, TrialSetup, TrialWatcher
from benchmarks.workload import SPACE
from nas.util.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from multiprocessing.connection import Connection

_WARM_UP = 4  # steps; more than a DataLoader has batches waiting at its start
_LEAST_STEPS, _MOST_STEPS = 3, 300  # of a turn, and of an epoch of ours
_TURN = "turn"
REFERENCE = "ours, reference"


@dataclass(frozen=True)
class Method:
    """A way of training that is timed.

    Attributes:
        name: Its name; ours begin with "ours", loops without images of their own end in "no data".
        threads: CPU threads.
        processes: How many train at once.
        amp: Mixed precision of the plain loop.
    """

    name: str
    threads: int
    processes: int = 1
    amp: Amp = "off"


@dataclass(frozen=True)
class Conditions:
    """Conditions that are the same for every method.

    Attributes:
        device: cpu, cuda or cuda:N.
        seconds: Length of a turn, and never less than three steps.
        batch_size: Images per step; None for the width's default.
    """

    device: str
    seconds: float
    batch_size: int | None = None


class Speed(NamedTuple):
    """The result of a turn.

    Attributes:
        by_clock: Images per second.
        by_cpu: Images per CPU second, including the time of workers.
        validation: Share of an epoch's time that validation took, estimation of batch norms included.
    """

    by_clock: float
    by_cpu: float
    validation: float


def ways(device: str) -> list[Method]:
    """Returns the methods that can be compared on a device."""
    cores = len(os.sched_getaffinity(0))
    ours = [Method("ours", cores), Method(REFERENCE, cores)]
    plain = [Method("plain", cores), Method("plain, no data", cores)]
    if device == "cpu":
        return [*ours, Method(f"ours, {cores} at once", 1, cores), *plain]
    kinds: tuple[Amp, ...] = ("fp16", "bf16")
    mixed = [Method(f"plain {amp}{what}", cores, amp=amp) for amp in kinds for what in ("", ", no data")]
    return [*ours, *mixed, *plain]


def chosen(names: Iterable[str], device: str) -> list[Method]:
    """Returns the methods of these names, or all of them.

    Raises:
        UserError: If the device has no method of a name.
    """
    there = {way.name: way for way in ways(device)}
    for name in names:
        if name not in there:
            listed = ", ".join(f'"{one}"' for one in there)
            raise UserError(f'--ways "{name}": must be one of {listed} on {device}')
    return [there[name] for name in names] or list(there.values())


class Contest:
    """The processes of all methods: one for each, or as many as it trains at once."""

    def __init__(self, compared: Iterable[Method], conditions: Conditions, turns: int) -> None:
        """Starts the processes."""
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as in a search; for all alike
        context = multiprocessing.get_context("spawn")
        self._turns = turns
        self._notes: list[str] = []
        self._processes = []
        self._teams: dict[str, list[Connection]] = {}
        for way in compared:
            for _ in range(way.processes):
                pipe, far = context.Pipe()
                self._processes.append(context.Process(target=train, args=(far, way, conditions)))
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

    def speeds(self, point: str, width: int) -> tuple[dict[str, list[Speed]], list[str]]:
        """Has every method train a network.

        Returns:
            By method, the speed of every turn, for those that can train it; and notes on why one cannot.
        """
        self._notes = []
        speeds: dict[str, list[Speed]] = {
            name: [] for name in list(self._teams) if self._ask(name, (point, width)) is not None
        }
        for _ in range(self._turns):
            for name in list(speeds):
                parts = self._ask(name, _TURN)
                if parts is None:
                    del speeds[name]
                    continue
                by_clock, by_cpu, validation = zip(*parts, strict=True)
                speeds[name].append(Speed(sum(by_clock), mean(by_cpu), mean(validation)))
        return speeds, list(dict.fromkeys(self._notes))

    def _ask(self, name: str, request: object) -> list[Speed] | None:
        """Returns the answers of all processes of a method; None if one of them fails, which is noted."""
        answers: list[_Answer] = []
        for pipe in self._teams[name]:
            with suppress(OSError):
                pipe.send(request)
        for pipe in self._teams[name]:
            try:
                answers.append(pipe.recv())
            except (EOFError, OSError):
                answers.append(_Answer(failed="its process ended"))
        for answer in answers:
            self._notes += [f"{name}: {note}" for note in answer.notes]
            if answer.failed:
                self._notes.append(f"{name}: not measured, {answer.failed}")
        if any(answer.failed for answer in answers):
            return None
        return [answer.speed for answer in answers if answer.speed is not None]


@dataclass(frozen=True)
class _Answer:
    """The answer of a training process: ready, a turn's speed, or why it failed."""

    speed: Speed | None = None
    notes: tuple[str, ...] = ()
    failed: str = ""


class _Talk:
    """The training process's end of the pipe."""

    def __init__(self, pipe: Connection, seconds: float) -> None:
        self._pipe = pipe
        self._seconds = seconds
        self._next: object = None

    def network(self) -> Any:
        """The next point and width to train, None at the end."""
        if self._next is None:
            with suppress(EOFError):
                self._next = self._pipe.recv()
        found, self._next = self._next, None
        return found

    def ready(self, notes: Iterable[str] = ()) -> None:
        """Reports that all is warm; returns when the first turn begins, or raises :class:`StopWatching`."""
        self._answer(_Answer(notes=tuple(notes)))

    def add(self, images: int, steps: int, training: float, validation: float = 0.0) -> None:
        """Counts steps that just ended; at a turn's end, answers and waits for the next one.

        Raises:
            StopWatching: If the next request is another one.
        """
        self._images += images
        self._steps += steps
        self._training += training
        self._validation += validation
        if self._training < self._seconds or self._steps < _LEAST_STEPS:
            return
        share = self._validation / (self._training + self._validation)
        cpu = (cpu_seconds() - self._spent) * (1 - share)  # that clock does not tell one from the other
        self._answer(_Answer(Speed(self._images / self._training, self._images / cpu, share)))

    def fail(self, reason: str) -> None:
        """Gives the network up."""
        self._pipe.send(_Answer(failed=reason))

    def _answer(self, answer: _Answer) -> None:
        self._pipe.send(answer)
        try:
            self._next = self._pipe.recv()
        except EOFError:
            raise StopWatching from None
        if self._next != _TURN:
            raise StopWatching
        self._next = None
        self._images = self._steps = 0
        self._training = self._validation = 0.0
        self._spent = cpu_seconds()


def train(pipe: Connection, way: Method, conditions: Conditions) -> None:
    """A process that trains one network after another, in turns."""
    torch.set_num_threads(way.threads)
    talk = _Talk(pipe, conditions.seconds)
    with suppress(EOFError, BrokenPipeError):  # the contest is over
        while (wanted := talk.network()) is not None:
            try:
                (_ours if way.name.startswith("ours") else _plain)(talk, way, conditions, *wanted)
            except StopWatching:
                continue
            except Exception as error:
                talk.fail(f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')}"[:200])


def _ours(talk: _Talk, way: Method, conditions: Conditions, point: str, width: int) -> None:
    reference = way.name == REFERENCE
    place = TrialSetup(width, _WARM_UP, conditions.device, conditions.batch_size, way.threads, reference)
    epochs: list[Epoch] = []

    def pilot(epoch: Epoch) -> None:
        epochs.append(epoch)
        if len(epochs) > 1:
            raise StopWatching

    TrialWatcher(place).watch(SPACE.points[point], pilot)
    wanted = math.ceil(conditions.seconds * _WARM_UP / epochs[-1].train_seconds)
    place = replace(place, steps=min(max(wanted, _LEAST_STEPS), _MOST_STEPS))
    watcher = TrialWatcher(place)
    begun = False

    def turn(epoch: Epoch) -> None:
        nonlocal begun
        if begun:
            talk.add(epoch.images, place.steps, epoch.train_seconds, epoch.val_seconds)
        else:
            begun = True
            talk.ready(watcher.notes)

    watcher.watch(SPACE.points[point], turn)


def _plain(talk: _Talk, way: Method, conditions: Conditions, point: str, width: int) -> None:
    loop = Loop(torch.device(conditions.device), way.amp, "no data" not in way.name, conditions.batch_size)
    steps = loop.steps(SPACE.points[point], width)
    for _ in range(_WARM_UP):
        next(steps)
    talk.ready()
    began = time.perf_counter()
    for images in steps:
        now = time.perf_counter()
        talk.add(images, 1, now - began)
        began = time.perf_counter()


def cpu_seconds() -> float:
    """CPU time of this process and of its DataLoader's workers, seconds."""
    ticks = 0
    for child in multiprocessing.active_children():
        with suppress(OSError):
            fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return time.process_time() + ticks / os.sysconf("SC_CLK_TCK")
