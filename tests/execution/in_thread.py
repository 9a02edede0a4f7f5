"""A trial process without the process: torch is imported once for many searches."""

from __future__ import annotations

import multiprocessing
import os
import threading
from multiprocessing.connection import Connection, wait
from types import SimpleNamespace

import pytest

from nas.execution import worker
from nas.execution.process import TrialProcess
from nas.execution.settings import WorkerSettings


class InThread(TrialProcess):
    """Answers as a process, by the same code on the same pipe."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.pipe, far_pipe = multiprocessing.Pipe()
        self.process = SimpleNamespace(pid=os.getpid(), kill=self.close)  # type: ignore[assignment]
        self._failed = "it was closed"
        self._thread = threading.Thread(target=self._serve, args=(far_pipe, settings), daemon=True)
        self._thread.start()

    def _serve(self, pipe: Connection, settings: WorkerSettings) -> None:
        with pipe:
            try:
                worker.serve(pipe, settings)
            except Exception as error:  # a process would end with it on its standard error
                self._failed = repr(error)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def wait(self, timeout: float) -> None:
        wait([self.pipe], timeout)

    def exit_message(self) -> str:
        self._thread.join(5)
        return f"the trial process ended with code 1: {self._failed}"

    def close(self) -> None:
        self.pipe.close()
        self._thread.join()


def install(patch: pytest.MonkeyPatch) -> None:
    """Makes searches train in this process.

    A trial process freezes what it has when its first trial begins. In this one that is other tests' garbage.
    """
    patch.setattr("nas.execution.local.TrialProcess", InThread)
    patch.setattr("nas.execution.trial_host.gc", SimpleNamespace(freeze=lambda: None))
