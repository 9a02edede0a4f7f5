"""A clock that excludes the time in which this process was suspended.

Ctrl-Z, ``kill -STOP``, a batch system's suspend, ``docker pause`` and a frozen virtual machine all leave the
monotonic clock running while nothing is computed. (Sleep of the machine needs no care, since on Linux and
macOS that clock stops as well.)
"""

from __future__ import annotations

import threading
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_TICK = 0.25  # seconds between two readings of the clock
_GAP = 2.0  # seconds between two readings from which on the process counts as suspended ...
_BUSY = 0.25  # ... unless it computed for this share of them, holding the interpreter's lock


class AwakeClock:
    """A monotonic clock that excludes suspensions, which it recognises by gaps between two readings.

    A thread reads it four times a second, so that a long call in another thread is not a gap.
    """

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        process_time: Callable[[], float] = time.process_time,
        *,
        watched: bool = True,
    ) -> None:
        """Starts the clock.

        Args:
            monotonic: Returns monotonic time, seconds.
            process_time: Returns the processor time of this process, seconds.
            watched: Whether a thread reads the clock; otherwise its user has to read it often.
        """
        self._monotonic, self._process_time = monotonic, process_time
        self._lock = threading.Lock()
        self._looked, self._computed = monotonic(), process_time()
        self._stood = 0.0
        if watched:
            threading.Thread(target=_watch, args=(weakref.ref(self),), name="awake", daemon=True).start()

    def now(self) -> float:
        """Returns the seconds since some moment, without suspensions."""
        with self._lock:
            return self._look() - self._stood

    @property
    def stood_still(self) -> float:
        """Total seconds of suspensions so far."""
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
    """Whether another process is stopped by a signal; False where the system does not say."""
    try:
        # See proc(5): the state follows the name, which is in brackets and may contain anything.
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state in (b"T", b"t")
