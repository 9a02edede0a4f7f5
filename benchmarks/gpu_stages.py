"""What ``make gpu`` runs, one program after another, each within a time of its own."""

from __future__ import annotations

import importlib.util
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

_LAST = 20.0  # seconds for what a program has begun when it is time to end by itself
_PACED = ("benchmarks.train_throughput", "benchmarks.configurations")
_GRACE = 8.0  # seconds between being asked to end and being killed: a search gives up its GPU
_VERDICT = r"(PASSED|FAILED|ERROR)"
_TEST = r"(tests/\S+::\S+)"
_VERDICTS = re.compile(f"{_TEST} {_VERDICT}|{_VERDICT} {_TEST}")  # alone, and with several workers


@dataclass(frozen=True)
class Sizes:
    """How large everything is."""

    wide: int
    narrow: int
    batch_size: int | None
    configurations: int
    steps: int
    images: int
    turns: int
    seconds: float
    trials: int
    together: int
    times: int


FULL = Sizes(512, 64, None, 64, 20, 50_000, 3, 1.0, 14, 64, 4)
QUICK = Sizes(16, 16, 16, 2, 2, 300, 1, 0.01, 3, 3, 1)


@dataclass(frozen=True)
class Stage:
    """A program to run.

    Attributes:
        name: Name of its figures.
        title: Title of its section of the page.
        words: The command after ``python -m``.
        seconds: Its share of twelve minutes.
    """

    name: str
    title: str
    words: tuple[str, ...]
    seconds: float


@dataclass
class Outcome:
    """The result of a stage.

    Attributes:
        code: Its exit status, None if its time was over.
        seconds: Time it took.
        printed: All of its output.
    """

    code: int | None = None
    seconds: float = 0.0
    printed: list[str] = field(default_factory=list)

    @property
    def verdicts(self) -> dict[str, str]:
        """PASSED, FAILED or ERROR by test, if it was pytest."""
        found: dict[str, str] = {}
        for line in self.printed:
            for first, one, other, second in _VERDICTS.findall(line):
                found[first or second] = one or other
        return found


def stages(device: str, sizes: Sizes) -> list[Stage]:
    """Returns all stages, the most important first."""
    cuda = device.startswith("cuda")
    plain = "plain fp16" if cuda else "plain"
    points = ("costliest", "nexception", "xception", "cheapest")
    batch = () if sizes.batch_size is None else ("--batch-size", sizes.batch_size)
    turns = ("--turns", sizes.turns, "--seconds", sizes.seconds, *batch)
    drawn = ("--steps", sizes.steps, *batch)
    short = ("--images", sizes.images, "--at-once", 1)

    def benchmark(name: str, title: str, program: str, seconds: float, *words: object) -> Stage:
        return Stage(name, title, (f"benchmarks.{program}", "--device", device, *map(str, words)), seconds)

    return [
        Stage("tests", "Tests", ("pytest", *_pytest(cuda)), 400),
        benchmark(
            *("train", "Training", "train_throughput", 90, *turns, "--widths", sizes.wide),
            *("--points", *points, "--ways", "ours", "ours, reference", f"{plain}, no data"),
        ),
        benchmark(
            *("random", "Random configurations", "configurations", 85, *drawn),
            *("--width", sizes.wide, "--count", sizes.configurations),
        ),
        benchmark(
            *("search", "A whole search of short trials", "search_utilisation", 45, *short),
            *("--width", sizes.wide, "--trials", sizes.trials, "--epochs", 1, 2, 2, "--budget", "30s"),
        ),
        benchmark(
            *("together", "Random configurations of a narrow network, together", "search_utilisation", 40),
            *(*short, "--width", sizes.narrow, "--trials", sizes.together, "--epochs", 1, 1, 2),
            *("--optimizer", "random", "--budget", "20s", *(("--trials-per-gpu", "auto") if cuda else ())),
        ),
        benchmark(
            *("narrow", "The same, one after another", "configurations", 20, *drawn),
            *("--width", sizes.narrow, "--count", max(sizes.configurations // 4, 1), "--plain-every", 4),
        ),
        benchmark(
            *("overhead", "Overhead of a trial", "trial_overhead", 15, "--width", sizes.wide),
            *("--times", sizes.times, "--images", min(sizes.images, 4000)),
        ),
        benchmark(
            *("loops", "Against the loop with DataLoader workers", "train_throughput", 15, *turns),
            *("--widths", *dict.fromkeys((sizes.narrow, sizes.wide)), "--points", "nexception"),
            *("--ways", "ours", plain),
        ),
    ]


def _pytest(cuda: bool) -> tuple[str, ...]:
    """The tests marked ``gpu``; without a GPU a few of their twins, all of which ``make test`` runs."""
    words: tuple[str, ...] = ("-v", "--timeout", "300")
    if not cuda:
        return ("tests/gpu/test_layers.py", "-k", "depthwise", *words)
    if importlib.util.find_spec("xdist"):
        words += ("-n", "8", "--dist", "loadfile", "--no-loadscope-reorder")
    return ("tests/gpu", *words, "-m", "gpu")


def typed(stage: Stage, json: Path, limit: float) -> list[str]:
    """Returns the whole command of a stage after ``python -m``.

    Args:
        stage: The stage.
        json: File for its figures; tests have none.
        limit: Time limit, seconds.
    """
    words = [*stage.words]
    if stage.name != "tests":
        words += ["--json", str(json)]
    if words[0] in _PACED:
        words += ["--minutes", f"{max(limit - _LAST, 5) / 60:.2f}"]
    return words


def run(stage: Stage, json: Path, limit: float) -> Outcome:
    """Runs a stage, shows what it prints, and ends it with all its processes when its time is over.

    Args:
        stage: The stage.
        json: File for its figures.
        limit: Time limit, seconds.
    """
    began, outcome = time.monotonic(), Outcome()
    command = [sys.executable, "-m", *typed(stage, json, limit)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    reader = threading.Thread(target=_show, args=(process, outcome.printed), daemon=True)
    reader.start()
    try:
        outcome.code = process.wait(max(limit, 0.0))
    except subprocess.TimeoutExpired:
        pass
    finally:
        _end(process)
    reader.join(_GRACE)
    outcome.seconds = time.monotonic() - began
    return outcome


def _show(process: subprocess.Popen[str], printed: list[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        printed.append(line.rstrip("\n"))
        print(line, end="", flush=True)


def _end(process: subprocess.Popen[Any]) -> None:
    """Ends a process and all of its group, politely at first."""
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
