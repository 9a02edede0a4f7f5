"""The programs that race, run side by side by their command lines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.end_to_end.settings import RACERS
from benchmarks.end_to_end.user_loop import Winner
from nas.run.events import Epoch
from nas.run.folder import Run
from nas.run.state import SearchState
from nas.util.errors import UserError
from search_spaces.base import plain

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.end_to_end.settings import EndToEndSettings, RacerName

_GRACE = 600.0  # seconds beyond its time that a program may take to end


@dataclass(frozen=True)
class RaceSetup:
    """Where a repeat is raced.

    Attributes:
        options: Settings of the race.
        repeat: Its number, and every program's seed.
        images: The archive that all programs get.
        flip: Whether mirrored images still belong to their class.
        folder: For run folders, logs and winners.
    """

    options: EndToEndSettings
    repeat: int
    images: Path
    flip: bool
    folder: Path


def command(racer: RacerName, course: RaceSetup) -> list[str]:
    """Returns the command that a user would type."""
    options = course.options
    common = {
        "space": options.space,
        "width": options.width,
        "min-epochs": options.min_epochs,
        "max-epochs": options.max_epochs,
        "eta": options.eta,
        "device": options.device,
        "seed": course.repeat,
    }
    if racer == "ours":
        own = {
            "dataset": f"npz:{course.images}",
            "val-fraction": options.share,
            "budget": f"{round(60 * options.minutes)}s",
            "name": racer,
            "runs-dir": course.folder,
            "threads": options.cores,
        }
        if not options.width:
            common["width"] = "auto"
        program = ["-m", "nas.search", "--quiet"]
    else:
        own = {
            "images": course.images,
            "out": course.folder / f"{racer}.json",
            "sampler": "tpe" if racer == "optuna" else "random",
            "seconds": 60 * options.minutes,
            "share": options.share,
        }
        program = ["-m", "benchmarks.end_to_end.user_loop"]
    flags = [part for name, value in {**common, **own}.items() for part in (f"--{name}", str(value))]
    return [sys.executable, *program, *flags, *([] if course.flip else ["--no-flip"])]


def race(course: RaceSetup) -> dict[str, Winner]:
    """Runs all programs; returns the winner that each has named.

    As many run at a time as there are cores; which ones run side by side changes between repeats.

    Raises:
        UserError: If one of them fails.
    """
    cores = sorted(os.sched_getaffinity(0))
    size = course.options.cores
    seats = [cores[i : i + size] for i in range(0, len(cores) - size + 1, size)]
    turned = course.repeat % len(course.options.racers)
    order = [*course.options.racers[turned:], *course.options.racers[:turned]]
    for begin in range(0, len(order), len(seats)):
        together = list(zip(order[begin : begin + len(seats)], seats, strict=False))
        threads = [threading.Thread(target=_run, args=(racer, course, seat)) for racer, seat in together]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return {racer: _named(racer, course) for racer in RACERS if racer in order}


def _run(racer: RacerName, course: RaceSetup, cores: list[int]) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": str(len(cores))}
    seated = [sys.executable, "-c", _SEATED, ",".join(map(str, cores)), *command(racer, course)]
    with (course.folder / f"{racer}.log").open("w") as log:
        process = subprocess.Popen(seated, stdout=log, stderr=log, env=environment)
        try:
            process.wait(60 * course.options.minutes + _GRACE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


# Gives the process its cores before the program begins, and so to all processes that it starts.
_SEATED = (
    "import os, sys; os.sched_setaffinity(0, map(int, sys.argv[1].split(','))); "
    "os.execv(sys.argv[2], sys.argv[2:])"
)


def _named(racer: RacerName, course: RaceSetup) -> Winner:
    try:
        return _incumbent(course.folder / racer) if racer == "ours" else _told(racer, course.folder)
    except (OSError, ValueError, KeyError) as error:
        log = course.folder / f"{racer}.log"
        said = log.read_text().strip().splitlines() if log.exists() else []
        raise UserError(f"{racer}: named no winner; {said[-1] if said else error} ({log})") from None


def _told(racer: RacerName, folder: Path) -> Winner:
    return Winner(**json.loads((folder / f"{racer}.json").read_text()))


def _incumbent(folder: Path) -> Winner:
    run = Run.open(folder)
    found = json.loads(run.incumbent_json.read_text())
    events = run.read_journal().events
    finished = SearchState.of(events).finished
    epochs = sum(isinstance(event, Epoch) for event in events)
    return Winner(plain(found["config"]), 1 - found["error"], finished, epochs)
