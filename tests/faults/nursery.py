"""Searches that start in milliseconds: one process imports everything and forks each of them.

What runs is the search command with its two processes, from its first line to its exit code; only the
imports are shared. Used where a campaign starts hundreds of searches.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import gc
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from signal import Signals
from typing import Any

from tests.faults.disk import Fault

# What a search and its trial process import sooner or later.
_IMPORTED = (
    *(
        "nas.search.__main__",
        "nas.repair.__main__",
        "nas.execution.trial_host",
        "nas.search.plan",
        "nas.view.live",
        "nas.view.summary",
    ),
    *(
        "nas.optimizers.smac.adapter",
        "nas.optimizers.smac.facade",
        "nas.data.sources",
        "sklearn.datasets",
        "scipy.io",
    ),
    *("analysis.deepcave.exporter", "tests.faults.disk", "tests.faults.export", "tests.faults.tiny"),
    *("tests.execution.faulty", "typeguard"),
)
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


@dataclass(frozen=True)
class Birth:
    """One search to start.

    Attributes:
        args: Its command line.
        output: File for what it prints.
        command: Module whose ``main`` is run.
        fault: What happens to its disk.
        clock_jumps: Whether the time of day jumps by years while it runs.
        ignores: Signals that are ignored when it begins, as by ``nohup``.
        terminal: Name of the terminal that it runs on, "" for none.
        locks: Whether its file system has locks.
    """

    args: Sequence[str]
    output: str
    command: str = "nas.search"
    fault: Fault | None = None
    clock_jumps: bool = False
    ignores: Sequence[int] = ()
    terminal: str = ""
    locks: bool = True


class Search:
    """A running search."""

    def __init__(self, nursery: Nursery, pid: int, output: Path) -> None:
        self.pid = pid
        self._nursery = nursery
        self._output = output
        self._handle = os.pidfd_open(pid)

    @property
    def said(self) -> str:
        """Its output, on both streams."""
        return self._output.read_text(errors="replace")

    def kill(self) -> None:
        """SIGKILL to it and its trial process at once, as a scheduler does."""
        with contextlib.suppress(ProcessLookupError):  # killed before it led a group of its own
            os.killpg(self.pid, signal.SIGKILL)
        os.kill(self.pid, signal.SIGKILL)

    def kill_alone(self) -> None:
        """SIGKILL to the search, not to its trial process."""
        os.kill(self.pid, signal.SIGKILL)

    def signal(self, number: Signals) -> None:
        """Sends a signal to the search."""
        os.kill(self.pid, number)

    def signal_all(self, number: Signals) -> None:
        """Sends a signal to the search and its trial process, as terminals and batch systems do."""
        os.killpg(self.pid, number)

    def over(self, timeout: float) -> bool:
        """Waits for its end, at most ``timeout`` seconds."""
        poll = select.poll()
        poll.register(self._handle, select.POLLIN)
        return bool(poll.poll(1000 * timeout))

    def wait(self, timeout: float = 120) -> int:
        """Its exit code, negative for a signal.

        Raises:
            TimeoutError: If it does not end in time; it is killed then.
        """
        ended = self.over(timeout)
        if not ended:
            self.kill()
        code = self._nursery.reap(self.pid)
        os.close(self._handle)
        if not ended:
            raise TimeoutError(f"a search did not end within {timeout} s: {self.said}")
        return code


class Nursery:
    """The process that searches are forked from."""

    def __init__(self, folder: Path) -> None:
        """Starts it.

        Args:
            folder: Where searches run and their output lies.
        """
        self.folder = folder
        self._births = 0
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore::DeprecationWarning", "-m", "tests.faults.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
        )

    def start(self, *args: str, **options: Any) -> Search:
        """Starts a search; options are those of :class:`Birth`."""
        self._births += 1
        output = self.folder / f"output-{self._births}.txt"
        birth = Birth(args, str(output), **options)
        return Search(self, self._ask(asdict(birth)), output)

    def run(self, *args: str, **options: Any) -> tuple[int, str]:
        """Starts a search and waits; returns its exit code and output."""
        search = self.start(*args, **options)
        return search.wait(), search.said

    def reap(self, pid: int) -> int:
        """Takes a child's exit code."""
        return self._ask({"reap": pid})

    def close(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)

    def __enter__(self) -> Nursery:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, request: dict[str, Any]) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


def main() -> None:
    """Imports what a search needs, then forks one for each request."""
    from nas.search import session

    for name in _IMPORTED:
        import_module(name)
    # A thread that imports while another forks leaves the fork with locks that nobody opens.
    session._load_optimizer_meanwhile = lambda: None
    gc.collect()
    gc.freeze()  # a collection in a child would copy all that is imported
    os.fsync = lambda fd: None  # whom a kill hits leaves what it wrote; only a power cut would not
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        request = json.loads(line)
        if "reap" in request:
            answer = os.waitstatus_to_exitcode(os.waitpid(request["reap"], 0)[1])
        else:
            answer = os.fork()
            if answer == 0:
                _be(Birth(**request))
        answers.write(f"{answer}\n")
        answers.flush()
    os._exit(0)  # nothing here needs a tidy end, and native libraries would report leaks


def _be(birth: Birth) -> None:
    import multiprocessing

    from nas.util import cli

    os.setsid()
    sink = os.open(birth.output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    nothing = os.open(os.devnull, os.O_RDONLY)
    if birth.terminal:  # a session's first one becomes its own
        nothing = sink = os.open(birth.terminal, os.O_RDWR)
    for source, target in ((nothing, 0), (sink, 1), (sink, 2)):
        os.dup2(source, target)
    # As in the foreground of a shell, also when the campaign runs under nohup or behind a script's &.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    for number in birth.ignores:
        signal.signal(number, signal.SIG_IGN)
    context = multiprocessing.get_context("fork")  # with one thread and torch not used yet, it is safe
    multiprocessing.get_context = lambda method=None: context  # type: ignore[assignment]
    search = os.getpid()
    os.register_at_fork(after_in_child=lambda: _be_as_spawned(search))
    sys.argv = [f"python -m {birth.command}", *birth.args]
    if birth.clock_jumps:
        _jump()
    if not birth.locks:
        _unlock()
    if birth.fault is not None:
        from tests.faults import disk

        disk.install(Fault(**birth.fault))  # type: ignore[arg-type]
    module = import_module(birth.command)
    if hasattr(module, "__path__"):  # a room, with its command line
        module = import_module(f"{birth.command}.__main__")
    try:
        cli.run(lambda: module.main(list(birth.args)), module.PROG)
    except SystemExit as exit_:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(exit_.code or 0))
    except BaseException:
        import traceback

        traceback.print_exc()
        sys.stderr.flush()
        os._exit(70)


def _be_as_spawned(search: int) -> None:
    """A spawned trial process inherits neither the search's lock nor the search's end of its lifeline."""
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if os.readlink(f"/proc/self/fd/{name}").endswith("/.lock"):
                os.close(int(name))
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # in place of the lifeline
    if os.getppid() != search:
        os._exit(0)


def _unlock() -> None:
    def flock(file: int, kind: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    fcntl.flock = flock  # type: ignore[assignment]


def _jump() -> None:
    real, calls = time.time, [0]

    def time_of_day() -> float:
        calls[0] += 1
        year = 365 * 86_400.0
        return real() + year * ((calls[0] * 7919) % 41 - 20)

    time.time = time_of_day


if __name__ == "__main__":
    main()
