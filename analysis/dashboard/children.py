"""Processes that a command starts, watches and ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_GRACE = 5.0  # seconds between asking and killing


class Child:
    """One process with its log.

    It leads a separate session, so that Ctrl-C at the terminal reaches the parent only and the
    parent decides in which order things end. Its standard input is a pipe that closes when the
    parent dies.
    """

    def __init__(self, name: str, command: Sequence[str], folder: Path, env: Mapping[str, str]) -> None:
        """Starts it in a folder, where its log goes too."""
        self.name = name
        self._log = folder / f"{name.replace(' ', '-')}.log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=folder,
                env=dict(env),
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs."""
        return self._process.poll()

    def exit_message(self, lines: int = 12) -> str:
        """How it ended and the last lines of its log."""
        said = self._log.read_text(errors="replace").rstrip().splitlines() or ["(nothing)"]
        tail = "\n".join(f"  {line}" for line in said[-lines:])
        return f"{self.name} ended with exit code {self.exit_code}; its log ends with:\n{tail}"

    def end(self) -> None:
        """Ends it and its group, gently first."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE)
                break
        if self._process.stdin is not None:
            self._process.stdin.close()
