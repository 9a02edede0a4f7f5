"""The search's own clock: seconds used, over all sessions of a run."""

from __future__ import annotations

import time
from typing import Protocol

from nas.util.awake import AwakeClock


class Clock(Protocol):
    """Measures how much of the time budget is used; simulations have another implementation."""

    def used(self) -> float:
        """Returns the seconds that the search has run, including earlier sessions."""
        ...

    def now(self) -> float:
        """Returns the seconds since 1970 (UTC), for the record only."""
        ...

    def leave_out(self, seconds: float) -> None:
        """Excludes seconds in which nothing could be done."""
        ...

    @property
    def stood_still(self) -> float:
        """Seconds excluded so far because this process was suspended."""
        ...


class WallClock:
    """Continues from the time that earlier sessions used.

    It is monotonic, so that setting the system's clock during the search changes nothing; time in which the
    process was suspended does not count.
    """

    def __init__(self, used: float = 0.0) -> None:
        """Starts counting.

        Args:
            used: Seconds that earlier sessions used.
        """
        self._awake = AwakeClock()
        self._start = self._awake.now() - used

    def used(self) -> float:
        """Returns the seconds that the search has run, including earlier sessions."""
        return self._awake.now() - self._start

    def now(self) -> float:
        """Seconds since 1970 (UTC)."""
        return time.time()

    def leave_out(self, seconds: float) -> None:
        """Excludes seconds in which nothing could be done."""
        self._start += seconds

    @property
    def stood_still(self) -> float:
        """Seconds excluded so far because this process was suspended."""
        return self._awake.stood_still
