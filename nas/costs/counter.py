"""Counts the exact costs of configurations in a small process, so that the search imports no torch."""

from __future__ import annotations

import contextlib
import math
import multiprocessing
from multiprocessing.connection import wait
from multiprocessing.util import Finalize
from typing import TYPE_CHECKING

import orjson

from nas.costs import counting
from search_spaces.base import config_id

if TYPE_CHECKING:
    from collections.abc import Sequence
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess
    from pathlib import Path

    from nas.execution.counted import CountedNetwork
    from search_spaces.base import Config

_CHUNK = 16  # configurations per request: what a killed process loses
_TRIES = 2  # processes that a configuration may kill before it counts as uncountable
_LONGEST = 300.0  # seconds after which a process counts as hung


class Counter:
    """Counts configurations, each once.

    The process is spawned at the first call, imports torch once and is kept. If it is killed, another one
    replaces it. A network that cannot be built has infinite costs.

    Attributes:
        reasons: Why a network could not be built, by config id.
    """

    def __init__(self, task: CountedNetwork) -> None:
        """Takes the network to count; the process starts at the first call."""
        self._task = task
        self._known: dict[str, dict[str, float]] = {}
        self._process: tuple[BaseProcess, Connection, Finalize] | None = None
        self._file: Path | None = None
        self.reasons: dict[str, str] = {}

    def costs(self, configs: Sequence[Config]) -> list[dict[str, float]]:
        """Returns ``macs``, ``params`` and the space's own costs by name, one mapping per configuration."""
        ids = [config_id(config) for config in configs]
        new = {name: config for name, config in zip(ids, configs, strict=True) if name not in self._known}
        names = list(new)
        for start in range(0, len(names), _CHUNK):
            self._count(names[start : start + _CHUNK], new)
        return [self._known[name] for name in ids]

    def keep_in(self, path: Path) -> None:
        """Uses a file as cache: reads its counts, and writes those made so far and from now on.

        The file has one line per configuration; lines that do not fit are ignored.
        """
        found = _read(path, self._task.identity)
        fresh = {name: costs for name, costs in self._known.items() if name not in found}
        self._known = {**found, **self._known}
        self._file = path
        self._write(fresh)

    def close(self) -> None:
        """Ends the process."""
        started, self._process = self._process, None
        if started is not None:
            process, pipe, end = started
            process.kill()
            process.join()
            end.cancel()
            pipe.close()

    def _count(self, names: Sequence[str], configs: dict[str, Config]) -> None:
        answers = self._ask([configs[name] for name in names])
        if answers is None:  # counted one by one to find the one that ends the process
            answers = [self._alone(configs[name]) for name in names] if len(names) > 1 else None
            answers = answers or [self._alone(configs[names[0]])]
        found = {}
        for name, answer in zip(names, answers, strict=True):
            if isinstance(answer, str):
                self.reasons[name] = answer
                answer = dict.fromkeys(("macs", "params", *self._task.own), math.inf)
            else:
                found[name] = answer
            self._known[name] = answer
        self._write(found)

    def _alone(self, config: Config) -> dict[str, float] | str:
        for _ in range(_TRIES):
            answers = self._ask([config])
            if answers is not None:
                return answers[0]
        return "the process that counts it ends each time"

    def _ask(self, configs: list[Config]) -> list[dict[str, float] | str] | None:
        """Returns the process's answers, None if it ended or hung."""
        process, pipe, _ = self._process or self._start()
        with contextlib.suppress(OSError, EOFError):
            pipe.send(configs)
            wait([pipe, process.sentinel], _LONGEST)
            if pipe.poll():
                found: list[dict[str, float] | str] = pipe.recv()
                return found
        self.close()
        return None

    def _start(self) -> tuple[BaseProcess, Connection, Finalize]:
        context = multiprocessing.get_context("spawn")  # as for trials: a fork could deadlock
        pipe, far_pipe = context.Pipe()
        process = context.Process(
            target=counting.main, args=(far_pipe, self._task), name="count", daemon=True
        )
        process.start()
        far_pipe.close()
        self._process = process, pipe, Finalize(None, process.kill, exitpriority=10)
        return self._process

    def _write(self, found: dict[str, dict[str, float]]) -> None:
        if self._file is None or not found:
            return
        lines = [
            orjson.dumps({"task": self._task.identity, "config_id": name, "costs": costs}) + b"\n"
            for name, costs in found.items()
        ]
        with contextlib.suppress(OSError), self._file.open("ab") as file:  # only a cache
            file.write(b"".join(lines))


def _read(path: Path, identity: str) -> dict[str, dict[str, float]]:
    found = {}
    try:
        lines = path.read_bytes().splitlines()
    except OSError:
        return {}
    for line in lines:
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
            row = orjson.loads(line)
            if row["task"] == identity:
                found[str(row["config_id"])] = {
                    str(name): float(value) for name, value in row["costs"].items()
                }
    return found
