"""What a command is doing while it has nothing to show yet: a spinner on a terminal, a line in a pipe."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

_FRAME = 0.1  # seconds
_AT_FIRST, _LATER = 0.1, 1.0  # seconds of silence before the spinner comes
_WORTH_A_LINE = 5.0  # seconds that something takes before a pipe gets a line about it
_FRAMES, _PLAIN_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "|/-\\"
# The cursor waits at the line's start: there it is also when a narrower terminal has wrapped the line.
_ERASE = b"\r\x1b[J"


class Spinner:
    """Says what is being done, until something else is printed or the command ends.

    Whatever is printed goes through :meth:`hidden`, so that the spinner is never in its way.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._stream: TextIO | None = None
        self._text = "starting"
        self._since = self._printed = time.monotonic()
        self._silence = _AT_FIRST
        self._at_line_start = True
        self._shown = self._told = False
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def show_on(self, stream: TextIO) -> None:
        """Begins, on this stream."""
        self._stream = stream
        self._spins = can_redraw(stream)
        self._frames = _FRAMES if "utf" in stream.encoding.lower() else _PLAIN_FRAMES
        os.register_at_fork(after_in_child=self._forget)
        self._thread = threading.Thread(target=self._go_on, name="spinner", daemon=True)
        self._thread.start()

    def say(self, text: str) -> None:
        """Names what is done from now on; "" for nothing."""
        with self._lock:
            self._text, self._since, self._told = text, time.monotonic(), False
            if not text:
                self._erase()

    @contextlib.contextmanager
    def hidden(self, *, ends_line: bool) -> Iterator[None]:
        """Makes room for what is printed.

        Args:
            ends_line: Whether it leaves the cursor at a line's start.
        """
        with self._lock:
            self._erase()
            yield
            self._printed, self._silence, self._at_line_start = time.monotonic(), _LATER, ends_line

    def end(self) -> None:
        """Takes it away for good."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(1.0)
        with self._lock:
            self._erase()
            self._stream = None

    def _go_on(self) -> None:
        while not self._over.wait(_FRAME):
            with self._lock:
                if self._text and self._at_line_start and self._stream is not None:
                    self._draw() if self._spins else self._tell()

    def _draw(self) -> None:
        now = time.monotonic()
        if now - self._printed < self._silence or not self._in_foreground():
            return
        frame = self._frames[int(now / _FRAME) % len(self._frames)]
        seconds = now - self._since
        line = f"{frame} {self._text}" + (f"  {seconds:.0f} s" if seconds >= 1 else "")
        width = shutil.get_terminal_size().columns or 80  # Python 3.10 gives 0 for a terminal of unknown size
        self._write(_ERASE + self._encoded(line[: width - 1]) + b"\r")
        self._shown = True

    def _tell(self) -> None:
        now = time.monotonic()
        if not self._told and now - max(self._since, self._printed) > _WORTH_A_LINE:
            self._told = True
            self._write(self._encoded(f"{self._text} ...\n"))

    def _erase(self) -> None:
        if self._shown:
            self._write(_ERASE)
            self._shown = False

    def _encoded(self, text: str) -> bytes:
        assert self._stream is not None
        return text.encode(self._stream.encoding, "plain")

    def _write(self, data: bytes) -> None:
        if self._stream is not None:
            with contextlib.suppress(OSError):  # the stream finds out by itself
                os.write(self._stream.fileno(), data)

    def _in_foreground(self) -> bool:
        assert self._stream is not None
        return in_foreground(self._stream.fileno())

    def _forget(self) -> None:
        """In a forked process there is no thread to draw, and none that could open the lock."""
        self._lock = threading.RLock()
        self._stream, self._shown = None, False


def can_redraw(stream: TextIO) -> bool:
    """Whether a stream is a terminal that supports cursor movement."""
    return stream.isatty() and os.environ.get("TERM", "").lower() not in ("dumb", "unknown")


def in_foreground(terminal: int) -> bool:
    """Whether this process may draw on a terminal: a job in the background would draw over the prompt."""
    try:
        return os.tcgetpgrp(terminal) in (os.getpgrp(), 0)
    except OSError:  # not this session's terminal
        return True
