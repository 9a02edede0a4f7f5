"""What a command prints, and what it says it is doing, whatever becomes of the terminal, pipe or file.

A command's streams go through here (:func:`nas.util.cli.run`), so that nothing else need think of it: a
closed
stream, a reader that has gone, a full disk, a hung-up or halted terminal, an encoding without our signs.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import io
import os
import select
import stat
import sys
from typing import TYPE_CHECKING, Any, TextIO

from nas.util.spinner import Spinner

if TYPE_CHECKING:
    from collections.abc import Iterator

# Nobody reads it any more: a pipe's end, a terminal that hung up, a connection.
_NO_READER = {errno.EPIPE, errno.EIO, errno.EBADF, errno.ENXIO, errno.ECONNRESET, errno.ESHUTDOWN}
_PATIENCE = 1.0  # seconds
_PLAIN = {"–": "-", "—": "-", "−": "-", "→": "->", "±": "+-", "×": "x", "…": "...", "·": ".", "█": "#"}
_PLAIN |= dict(zip("▁▂▃▄▅▆▇", "_.,-=+*", strict=True))
_PLAIN |= dict.fromkeys("─━═╌╴╶╸╺", "-") | dict.fromkeys("│┃║", "|")


class Output(io.TextIOWrapper):
    """Standard output or standard error of a command.

    Attributes:
        sink: Where it goes.
    """

    def __init__(self, sink: _Sink, encoding: str) -> None:
        self.sink = sink
        super().__init__(
            io.BufferedWriter(sink), encoding=encoding, errors="plain", line_buffering=sink.isatty()
        )


class _Sink(io.RawIOBase):
    """A file descriptor; for a view (``lasting``) writing never fails and, on request, never waits."""

    def __init__(self, number: int, spinner: Spinner, *, lasting: bool) -> None:
        self.failed: OSError | None = None
        self._number, self._spinner, self._lasting = number, spinner, lasting
        self._hasty: int | None = None  # the same, but for writing that does not wait
        self._stalled = False

    def fileno(self) -> int:
        return self._number

    def isatty(self) -> bool:
        return os.isatty(self._number)

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        """Writes all of it, or what a view can do without is lost.

        Raises:
            OSError: If it cannot be written and is no view.
        """
        view = memoryview(data).cast("B")
        with self._spinner.hidden(ends_line=view[-1:] == b"\n"):
            done = 0
            try:
                while done < len(view):
                    try:
                        done += os.write(self._number if self._hasty is None else self._hasty, view[done:])
                    except BlockingIOError:
                        if not self._has_room():
                            break
            except OSError as error:
                self._lose(error)
                if not self._lasting:
                    raise
        return len(view)

    def drop_unread(self) -> None:
        """From now on what a halted terminal (Ctrl-S) or a pipe that is not read does not take is lost.

        It is opened once more for that: whoever else writes to it must not be hurried.
        """
        if self._lasting and (self.isatty() or stat.S_ISFIFO(os.fstat(self._number).st_mode)):
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            with contextlib.suppress(OSError):  # where the system has no such names
                self._hasty = os.open(f"/proc/self/fd/{self._number}", flags)

    def wait_for_reader(self) -> None:
        """From now on it is waited for."""
        number, self._hasty = self._hasty, None
        if number is not None:
            os.close(number)

    def _has_room(self) -> bool:
        assert self._hasty is not None
        waited = select.poll()
        waited.register(self._hasty, select.POLLOUT)
        self._stalled = not waited.poll(0 if self._stalled else 1000 * _PATIENCE)
        return not self._stalled

    def _lose(self, error: OSError) -> None:
        self.failed = self.failed or error
        if error.errno in _NO_READER or not self._lasting:
            self.wait_for_reader()
            with contextlib.suppress(OSError):
                os.dup2(_nothing(), self._number)

    @property
    def reader_gone(self) -> bool:
        """Whether what failed is that nobody reads any more."""
        return self.failed is not None and self.failed.errno in _NO_READER


@contextlib.contextmanager
def opened(*, answer: bool, quiet: bool) -> Iterator[tuple[Output | None, Spinner]]:
    """Puts a command's standard streams through here; a test's own are left alone.

    Args:
        answer: What is printed is what the command is for; otherwise it is a view of work that goes on
            without it.
        quiet: Say nothing of what is being done.

    Yields:
        Standard output, None if it was left alone, and the sign of what is being done.
    """
    _fill_gaps()
    codecs.register_error("plain", _plain)
    spinner = Spinner()
    before = sys.stdout, sys.stderr
    out = err = None
    if sys.stdout is sys.__stdout__:
        sys.stdout = out = Output(_Sink(1, spinner, lasting=not answer), _encoding(sys.stdout))
    if sys.stderr is sys.__stderr__:
        sys.stderr = err = Output(_Sink(2, spinner, lasting=True), _encoding(sys.stderr))
    ours = [stream for stream in (out, err) if stream is not None]
    # A terminal, or else standard error: what standard output gives to a pipe or file is for others to read.
    shown = next((stream for stream in ours if stream.isatty()), err)
    if not quiet and shown is not None:
        spinner.show_on(shown)
    try:
        yield out, spinner
    finally:
        spinner.end()
        for stream in ours:
            with contextlib.suppress(OSError):
                stream.flush()
        sys.stdout, sys.stderr = before


def doing(text: str) -> None:
    """Says what is being done from now on, if it takes long enough to be worth a word; "" for nothing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, Output):
            stream.sink._spinner.say(text)
            return


@contextlib.contextmanager
def dropping_unread() -> Iterator[None]:
    """What is printed within is lost rather than waited for if its reader does not take it."""
    sinks = [stream.sink for stream in (sys.stdout, sys.stderr) if isinstance(stream, Output)]
    for sink in sinks:
        sink.drop_unread()
    try:
        yield
    finally:
        for sink in sinks:
            sink.wait_for_reader()


def _fill_gaps() -> None:
    """Opens standard streams that are closed: the next file would get their number, and their output."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.dup2(_nothing(), number)


def _nothing() -> int:
    return os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)


def _encoding(stream: TextIO | None) -> str:
    return getattr(stream, "encoding", None) or "utf-8"


def _plain(error: UnicodeError) -> tuple[str, int]:
    """For signs that an encoding does not have: plainer ones, or else their number."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    return "".join(_PLAIN.get(sign) or _box(sign) for sign in signs), error.end


def _box(sign: str) -> str:
    if "\u2500" <= sign <= "\u257f":
        return "+"
    return "*" if "\u2800" <= sign <= "\u28ff" else f"\\u{ord(sign):04x}"
