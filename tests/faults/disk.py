"""A disk that fails on demand: counts what a process does to a folder and harms the n-th operation.

Python's own ways to a file are replaced below its buffers, so an operation here is a system call there:
a write that is cut off leaves half of its bytes behind.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Action = Literal["trace", "kill", "full", "readonly", "slow"]

_SLOW = 0.03  # seconds an operation takes on the slow disk
_KINDS = {
    "trials.jsonl": "journal",
    "search.json": "settings",
    "configspace.json": "space",
    "incumbent.json": "incumbent",
    "search.log": "log",
    "checkpoints": "checkpoint",
    "deepcave": "DeepCAVE export",
    ".lock": "lock",
}


@dataclass(frozen=True)
class Fault:
    """What goes wrong.

    Attributes:
        folder: Operations below this folder count.
        action: ``kill``: the process dies in the middle of it; ``full``: from then on no byte fits;
            ``readonly``: from then on nothing can be changed; ``slow``: everything takes a while;
            ``trace``: nothing, but each operation becomes a line of the file ``trace``.
        operation: ``open`` (to write), ``write``, ``fsync``, ``rename``, ``remove``, ``mkdir`` or
            ``truncate``; "" for any.
        kind: Which file, in the words of :func:`kind_of`; "" for any.
        number: Number of the operation among such ones, from 1.
        trace: The file that ``trace`` writes.
    """

    folder: str
    action: Action
    operation: str = ""
    kind: str = ""
    number: int = 1
    trace: str = ""


def kind_of(path: Path, folder: Path) -> str:
    """Returns the purpose of a run folder's file; temporary names count as what they become."""
    name = path.relative_to(folder).parts[0] if path != folder else ""
    if name.startswith((".smac", "smac")):
        return "SMAC snapshot"
    if name.startswith(".") and name not in _KINDS:
        name = f"{name.split('.')[1]}{path.suffix}"
    return _KINDS.get(name, "folder")


class FailingDisk:
    """Counts operations and carries out one fault."""

    def __init__(self, fault: Fault) -> None:
        self._fault = fault
        self._folder = Path(fault.folder)
        self._seen: Counter[bool] = Counter()
        self._inside = False
        self._broken = False

    def meets(self, operation: str, path: Any, do: Callable[[], Any], part: Callable[[], Any]) -> Any:
        """Carries an operation out, or not.

        Args:
            operation: Its name.
            path: The file.
            do: The operation.
            part: As much of it as is done when it fails half way.
        """
        if self._inside or not isinstance(path, str | os.PathLike):
            return do()
        place = Path(os.path.abspath(os.fsdecode(path)))
        # A new run is made under another name beside its folder.
        staging = place.parts[: len(self._folder.parts)]
        inside = place.is_relative_to(self._folder)
        if not inside and staging and staging[-1].startswith(f".{self._folder.name}."):
            place, inside = self._folder.joinpath(*place.parts[len(staging) :]), True
        if not inside:
            return do()
        self._inside = True
        try:
            self._harm(operation, kind_of(place, self._folder), part)
            return do()
        finally:
            self._inside = False

    def _harm(self, operation: str, kind: str, part: Callable[[], Any]) -> None:
        fault = self._fault
        if fault.action == "trace":
            line = f"{os.getpid()}\t{operation}\t{kind}\n".encode()
            with open(fault.trace, "ab", buffering=0) as file:
                file.write(line)
            return
        if fault.action == "slow":
            time.sleep(_SLOW)
            return
        fits = fault.operation in ("", operation) and fault.kind in ("", kind)
        self._seen[fits] += 1
        hit = fits and self._seen[True] == fault.number
        if fault.action == "kill":
            if hit:
                part()
                os.killpg(0, signal.SIGKILL)
                time.sleep(10)
            return
        self._broken = self._broken or hit
        if self._broken and fault.action == "readonly":
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        if self._broken and operation in ("open", "write", "mkdir"):
            if hit:
                part()
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def install(fault: Fault) -> None:
    """Puts the failing disk under this process and those it forks, for good."""
    disk = FailingDisk(fault)
    raw_write, raw_open, raw_os_open = os.write, io.open, os.open

    class Raw(io.FileIO):
        def write(self, data: Any) -> int:
            view = memoryview(data).cast("B")
            half = view[: len(view) // 2]
            return disk.meets(
                "write", self.name, lambda: super(Raw, self).write(view), lambda: super(Raw, self).write(half)
            )

    def write(descriptor: int, data: Any) -> int:
        return disk.meets(
            "write",
            _path_of(descriptor),
            lambda: raw_write(descriptor, data),
            lambda: raw_write(descriptor, data[: len(data) // 2]),
        )

    def opened(
        file: Any,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        closefd: bool = True,
        opener: Any = None,
    ) -> Any:
        if isinstance(file, int) or not set(mode) & set("wax+"):
            return raw_open(file, mode, buffering, encoding, errors, newline, closefd, opener)
        kind = mode.replace("b", "").replace("t", "")
        raw = disk.meets(
            "open",
            file,
            lambda: Raw(os.fspath(file), kind, closefd, opener),
            lambda: raw_open(file, kind).close(),
        )
        buffer: Any = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
        return buffer if "b" in mode else io.TextIOWrapper(buffer, encoding, errors, newline)

    def os_opened(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        def do() -> int:
            return raw_os_open(path, flags, *args, **kwargs)

        return disk.meets("open", path, do, lambda: None) if flags & (os.O_WRONLY | os.O_RDWR) else do()

    os.write, os.open = write, os_opened
    io.open = builtins.open = opened
    Path.open = lambda self, *args, **kwargs: opened(self, *args, **kwargs)  # type: ignore[method-assign]
    _wrap(disk, os, "fsync", "fsync", lambda descriptor, *_: _path_of(descriptor))
    _wrap(disk, os, "ftruncate", "truncate", lambda descriptor, *_: _path_of(descriptor))
    for name, operation in (
        ("replace", "rename"),
        ("rename", "rename"),
        ("unlink", "remove"),
        ("rmdir", "remove"),
        ("mkdir", "mkdir"),
    ):
        for owner in (Path, os):
            _wrap(disk, owner, name, operation, lambda path, *_: path)


def _wrap(disk: FailingDisk, owner: Any, name: str, operation: str, path: Callable[..., Any]) -> None:
    real = getattr(owner, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return disk.meets(operation, path(*args), lambda: real(*args, **kwargs), lambda: None)

    setattr(owner, name, wrapped)


def _path_of(descriptor: int) -> str | None:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return None
