"""Time in which this process ran: what it stood still does not count.

Ctrl-Z, ``kill -STOP``, a batch system's suspend, ``docker pause`` and a frozen virtual machine all leave
the monotonic clock running while nothing is computed. (A machine that sleeps is no matter: on Linux and
macOS that clock sleeps too.)
"""

from __future__ import annotations

import threading
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_TICK = 0.25  # seconds between two looks at the clock
_GAP = 2.0  # seconds between two looks from which on something held this process up ...
_BUSY = 0.25  # ... unless it computed for this share of them, holding the interpreter's lock


class AwakeClock:
    """A monotonic clock that leaves out what this process stood still, noticed by a gap between two looks.

    A thread looks four times a second, whatever the others do, so that a long call is no gap.
    """

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        process_time: Callable[[], float] = time.process_time,
        *,
        watched: bool = True,
    ) -> None:
        """Starts.

        Args:
            monotonic: Seconds.
            process_time: Seconds of processor time that this process has used.
            watched: Whether a thread looks; without, whoever asks for the time has to ask often.
        """
        self._monotonic, self._process_time = monotonic, process_time
        self._lock = threading.Lock()
        self._looked, self._computed = monotonic(), process_time()
        self._stood = 0.0
        if watched:
            threading.Thread(target=_watch, args=(weakref.ref(self),), name="awake", daemon=True).start()

    def now(self) -> float:
        """Seconds since some moment, those left out in which this process stood still."""
        with self._lock:
            return self._look() - self._stood

    @property
    def stood_still(self) -> float:
        """Seconds this process stood still so far, in all."""
        with self._lock:
            self._look()
            return self._stood

    def _look(self) -> float:
        now, computed = self._monotonic(), self._process_time()
        gap = now - self._looked
        if gap > _GAP and computed - self._computed < _BUSY * gap:
            self._stood += gap - _TICK
        self._looked, self._computed = now, computed
        return now


def _watch(clock: weakref.ref[AwakeClock]) -> None:
    while (watched := clock()) is not None:
        watched.now()
        del watched
        time.sleep(_TICK)


def is_stopped(pid: int) -> bool:
    """Whether another process was stopped by a signal; False where the system does not tell."""
    try:
        # See proc(5): the state follows the name, which stands in brackets and may hold anything.
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state in (b"T", b"t")
