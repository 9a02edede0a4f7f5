"""Processes that start in milliseconds: a server has imported torch, and forks them.

They have the entry point, pipes, signals and exit codes of those that are spawned. What a test starts as a
program spawns its own.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from importlib import import_module
from multiprocessing import forkserver
from multiprocessing.context import BaseContext, ForkServerContext, ForkServerProcess
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import DupFd
from typing import Any

# What a trial process and the one that counts import; a module that is missing is imported by each of them.
IMPORTED = [
    "nas.execution.trial_host",
    "nas.costs.counting",
    "nas.data.sources",
    "sklearn.datasets",
    "torch._dynamo",
    "nas.train.session",
]


class WarmProcess(ForkServerProcess):
    """Has the environment and output of the process that starts it, as a spawned one, not the server's."""

    _streams: list[Any]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._environment = dict(os.environ)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_streams": [DupFd(1), DupFd(2)]}

    def run(self) -> None:
        """Does the work."""
        for descriptor, stream in enumerate(self._streams, start=1):
            os.dup2(stream.detach(), descriptor)
        os.environ.clear()
        os.environ.update(self._environment)
        super().run()


class WarmContext(ForkServerContext):
    """How they are started."""

    Process = WarmProcess


class WarmProcesses:
    """In place of the module ``multiprocessing``, where a process is started."""

    def __init__(self) -> None:
        self._here = os.getpid()
        self._context = WarmContext()
        self._context.set_forkserver_preload(IMPORTED)

    def get_context(self, method: str) -> BaseContext:
        """Returns how processes are started: forks of this one do not know its server."""
        return self._context if os.getpid() == self._here else multiprocessing.get_context(method)

    @staticmethod
    def server() -> str:
        """Where the server listens, which is started first."""
        forkserver.ensure_running()
        there: Any = forkserver._forkserver
        return str(there._forkserver_address)

    @staticmethod
    def share(server: str) -> None:
        """Has what this process of a server would spawn be forked from the server as well."""
        spawned: Any = multiprocessing.get_context
        there: Any = forkserver._forkserver
        there._forkserver_address, there.ensure_running = server, lambda: None
        multiprocessing.get_context = lambda method=None: (  # type: ignore[assignment]
            WarmContext() if method == "spawn" else spawned(method)
        )

    def typed(self, module: str, *args: str) -> BaseProcess:
        """Starts a command that starts no processes itself."""
        process = self._context.Process(target=_run, args=(module, args), daemon=True)
        process.start()
        return process


def _run(module: str, args: tuple[str, ...]) -> None:
    import torch

    torch.set_num_threads(1)
    sys.exit(import_module(f"{module}.__main__").main(list(args)))
