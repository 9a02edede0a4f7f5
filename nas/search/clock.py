"""The search's own clock: seconds used, over all sessions of a run."""

from __future__ import annotations

import time
from typing import Protocol

from nas.util.awake import AwakeClock


class Clock(Protocol):
    """How much of the time budget is used; a simulation has a clock of another class."""

    def used(self) -> float:
        """Seconds the search has run, earlier sessions included."""
        ...

    def now(self) -> float:
        """Seconds since 1970 (UTC), for the record only."""
        ...

    def leave_out(self, seconds: float) -> None:
        """Does not count seconds in which nothing could be done."""
        ...

    @property
    def stood_still(self) -> float:
        """Seconds not counted so far because this process was paused."""
        ...


class WallClock:
    """Counts on from what earlier sessions used.

    Monotonic, so that a clock set back or forth during the search changes nothing; what the process stood
    still is left out.
    """

    def __init__(self, used: float = 0.0) -> None:
        """Starts counting.

        Args:
            used: Seconds earlier sessions used.
        """
        self._awake = AwakeClock()
        self._start = self._awake.now() - used

    def used(self) -> float:
        """Seconds the search has run, earlier sessions included."""
        return self._awake.now() - self._start

    def now(self) -> float:
        """Seconds since 1970 (UTC)."""
        return time.time()

    def leave_out(self, seconds: float) -> None:
        """Does not count seconds in which nothing could be done."""
        self._start += seconds

    @property
    def stood_still(self) -> float:
        """Seconds not counted so far because this process was paused."""
        return self._awake.stood_still
