"""The handling of signals, the same for every command.

Only signals that request a program's end have handlers. A signal that was ignored when the program began
stays ignored: that is how ``nohup``, ``disown``, ``trap '' HUP`` and a shell's ``&`` keep a program alive,
and why POSIX lets ``exec`` pass that on.
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

# Batch systems announce the end by SIGTERM, SIGUSR1, SIGUSR2 or SIGXCPU, depending on their configuration.
ENDING = {
    signal.SIGINT: INTERRUPTED,
    signal.SIGTERM: TERMINATED,
    signal.SIGHUP: TERMINATED,
    signal.SIGUSR1: TERMINATED,
    signal.SIGUSR2: TERMINATED,
    signal.SIGXCPU: TERMINATED,
}

_ONCE = 1.0  # seconds: `timeout`, systemd and a closing terminal send the same request more than once


class Terminated(BaseException):
    """A signal requests the end of a command that has nothing to finish; ``finally`` blocks run."""


@contextlib.contextmanager
def handled(stop: Callable[[str], None]) -> Iterator[None]:
    """Turns signals that request an end into calls of ``stop``, one per request.

    Every Ctrl-C counts, since a second one means hurry. Any other signal within a second of the last one is
    the same request.

    Args:
        stop: Called with ``interrupted`` or ``terminated``.
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
def as_exceptions() -> Iterator[None]:
    """Lets SIGTERM and SIGHUP end a command like Ctrl-C, with clean-up.

    Raises:
        Terminated: At any point inside the block.
    """

    def handle(number: int, _: FrameType | None) -> NoReturn:
        raise Terminated(ENDING[signal.Signals(number)])

    with _set((signal.SIGTERM, signal.SIGHUP), handle):
        yield


def ignore_ending() -> None:
    """Makes a trial process ignore signals that a terminal or batch system sends to all processes.

    The search receives them as well and decides; it ends the trial at the end of its epoch.
    """
    ignored(ENDING)


def ignored(numbers: Iterable[signal.Signals]) -> None:
    """Makes this process ignore signals from now on."""
    for number in numbers:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def _set(
    numbers: Iterable[signal.Signals], handler: Callable[[int, FrameType | None], None]
) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # Python sets handlers in that thread only
        yield
        return
    numbers = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, signal.SIG_DFL if old is None else old)
