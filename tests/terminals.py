"""Programs on a real terminal of their own, as a shell, tmux or a remote login starts them."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass
class Terminal:
    """A program that leads a session on a pseudo-terminal.

    Attributes:
        pid: The program.
        master: Our end of its terminal.
        begun: When it was started, monotonic seconds.
        seen: What it wrote, with the time of each piece, seconds after its start.
    """

    pid: int
    master: int
    begun: float
    seen: list[tuple[float, str]] = field(default_factory=list)
    _code: int | None = None

    @property
    def text(self) -> str:
        return "".join(piece for _, piece in self.seen)

    def read(self, seconds: float, until: str = "\0") -> str:
        """Reads until a text has come, the terminal is closed, or the time is over."""
        end = time.monotonic() + seconds
        while until not in self.text and (left := end - time.monotonic()) > 0:
            if not select.select([self.master], [], [], left)[0]:
                break
            try:
                piece = os.read(self.master, 65536)
            except OSError:  # EIO: the other side has no reader or writer left
                break
            if not piece:
                break
            self.seen.append((time.monotonic() - self.begun, piece.decode(errors="replace")))
        return self.text

    def hang_up(self) -> None:
        """Closes the terminal, as a window or a remote connection is closed."""
        os.close(self.master)
        self.master = -1

    def wait(self, seconds: float = 60.0) -> int:
        """The exit code, negative for a signal."""
        end = time.monotonic() + seconds
        while self._code is None and time.monotonic() < end:
            if self.master >= 0:
                self.read(0.05)
            else:
                time.sleep(0.02)
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
        if self._code is None:
            raise TimeoutError(f"no end: {self.text}")
        return self._code


@contextlib.contextmanager
def on_terminal(
    command: Sequence[str],
    *,
    ignoring: Sequence[signal.Signals] = (),
    env: Mapping[str, str] | None = None,
) -> Iterator[Terminal]:
    """Starts a program on a terminal of its own.

    Args:
        command: Arguments of this Python.
        ignoring: Signals that are ignored when it begins, as by ``nohup`` or a shell's ``&``.
        env: Environment variables to add.
    """
    begun = time.monotonic()
    pid, master = pty.fork()
    if pid == 0:
        for number in (signal.SIGINT, signal.SIGHUP, *ignoring):  # whatever started the tests
            signal.signal(number, signal.SIG_IGN if number in ignoring else signal.SIG_DFL)
        # pytest's workers are told a size; a program on a terminal asks the terminal.
        ours = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        os.execve(sys.executable, [sys.executable, *command], {**ours, "TERM": "xterm", **(env or {})})
    terminal = Terminal(pid, master, begun)
    try:
        yield terminal
    finally:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            if terminal._code is None:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        if terminal.master >= 0:
            os.close(terminal.master)
