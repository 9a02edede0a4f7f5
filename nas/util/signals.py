"""What signals mean to every command, in one place.

Python's own handlers are left alone but for the signals that ask a program to end. One that was ignored
when the program began stays ignored: that is how ``nohup``, ``disown``, ``trap '' HUP`` and a shell's ``&``
keep a program alive, and POSIX has ``exec`` pass it on for that purpose.
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import FrameType

INTERRUPTED, TERMINATED = "interrupted", "terminated"
EXIT_CODES = {INTERRUPTED: 130, TERMINATED: 143}

# Batch systems say that the end is near with SIGTERM, SIGUSR1, SIGUSR2 or SIGXCPU, as they are set up.
ENDING = {
    signal.SIGINT: INTERRUPTED,
    signal.SIGTERM: TERMINATED,
    signal.SIGHUP: TERMINATED,
    signal.SIGUSR1: TERMINATED,
    signal.SIGUSR2: TERMINATED,
    signal.SIGXCPU: TERMINATED,
}

_ONCE = 1.0  # seconds: `timeout`, systemd and a closing terminal send the same request more than once


class Ended(BaseException):
    """A signal asks a command to end that has nothing to wind down; ``finally`` blocks run."""


@contextlib.contextmanager
def handled(stop: Callable[[str], None]) -> Iterator[None]:
    """Turns the signals that ask for an end into calls of ``stop``, one for each request.

    Ctrl-C counts every time, since a second one means hurry. Any other signal within a second of the
    last is the same request again.

    Args:
        stop: Gets ``interrupted`` or ``terminated``.
    """
    last = -_ONCE

    def handle(number: int, _: FrameType | None) -> None:
        nonlocal last
        again = time.monotonic() - last < _ONCE
        if number == signal.SIGINT:
            stop(INTERRUPTED)
            return
        last = time.monotonic()
        if not again:
            stop(ENDING[signal.Signals(number)])

    with _set(ENDING, handle):
        yield


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """Lets SIGTERM and SIGHUP end a command as Ctrl-C does, tidying up on the way.

    Raises:
        Ended: In the middle of whatever is being done.
    """

    def handle(number: int, _: FrameType | None) -> NoReturn:
        raise Ended(ENDING[signal.Signals(number)])

    with _set((signal.SIGTERM, signal.SIGHUP), handle):
        yield


def left_to_the_search() -> None:
    """Has a trial process ignore what a terminal or a batch system sends to all processes of a search.

    The search gets it too, and decides: ending the trial at its epoch's end is its affair.
    """
    ignored(ENDING)


def ignored(numbers: Iterable[signal.Signals]) -> None:
    """Has this process ignore signals from now on."""
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def _set(
    numbers: Iterable[signal.Signals], handler: Callable[[int, FrameType | None], None]
) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # Python sets handlers there alone
        yield
        return
    numbers = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, signal.SIG_DFL if old is None else old)
