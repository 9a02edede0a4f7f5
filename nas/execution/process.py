"""One trial process, the pipes to it, and how it ended."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import tempfile
from multiprocessing.connection import wait
from multiprocessing.util import Finalize
from pathlib import Path
from typing import TYPE_CHECKING

from nas.execution import worker

if TYPE_CHECKING:
    from nas.execution.settings import WorkerSettings

START_TIMEOUT = 3_600.0  # seconds: the first start may download the data
_KILL_HINTS = {
    signal.SIGKILL: " (when nobody sent it, the machine ran out of memory)",
    signal.SIGSEGV: " (a fault in native code)",
}


class TrialProcess:
    """A process that trains one network after another.

    Spawned, never forked: a fork of a process that has used OpenMP or CUDA deadlocks. It keeps the data on
    the device between trials, and ends by itself when its parent is gone.

    Attributes:
        process: The process.
        pipe: Carries requests to it and reports from it; the first report is its facts.
    """

    def __init__(self, settings: WorkerSettings) -> None:
        """Starts the process, which is ready some seconds later."""
        context = multiprocessing.get_context("spawn")
        self.pipe, far_pipe = context.Pipe()
        self._lifeline, far_lifeline = context.Pipe()
        handle, name = tempfile.mkstemp(prefix="smacnas-trial-", suffix=".log")
        os.close(handle)
        self._output = Path(name)
        self.process = context.Process(
            target=worker.main, args=(far_pipe, far_lifeline, settings, name), name="trial", daemon=True
        )
        self.process.start()
        far_pipe.close()
        far_lifeline.close()
        # So that this process does not wait for the other one when it exits.
        self._end = Finalize(None, self.process.kill, exitpriority=10)

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process.is_alive()

    def send(self, request: object) -> None:
        """Sends a request; a death of the process shows only when waiting for the answer."""
        with contextlib.suppress(OSError):
            self.pipe.send(request)

    def wait(self, timeout: float) -> None:
        """Waits until it sends something or ends, at most ``timeout`` seconds."""
        wait([self.pipe, self.process.sentinel], timeout)

    def receive(self, timeout: float = START_TIMEOUT) -> object:
        """Returns its next message, None if it ended or nothing came within ``timeout`` seconds."""
        self.wait(timeout)
        try:
            return self.pipe.recv() if self.pipe.poll() else None
        except (EOFError, OSError):
            return None

    def exit_message(self) -> str:
        """Says in one line how it ended."""
        self.process.join(5)
        code = self.process.exitcode
        if code is None:
            return "it does not answer"
        if code < 0:
            number = signal.Signals(-code)
            return f"the trial process was ended by {number.name}{_KILL_HINTS.get(number, '')}"
        lines = self._output.read_text(errors="replace").strip().splitlines()
        return f"the trial process ended with code {code}" + (f": {lines[-1]}" if lines else "")

    def close(self) -> None:
        """Ends the process at once."""
        self.process.kill()
        self.process.join()
        self._end.cancel()
        self.pipe.close()
        self._lifeline.close()
        self._output.unlink(missing_ok=True)
