"""The search's own clock: seconds used, over all sessions of a run."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import Protocol


class Clock(Protocol):
    """Tells how much of the budget is used; a simulation brings its own."""

    def used(self) -> float:
        """Seconds the search has run, earlier sessions included."""
        ...

    def now(self) -> float:
        """Seconds since 1970 (UTC), for the record only."""
        ...


class WallClock:
    """Counts on from what earlier sessions used.

    Monotonic, so that a clock set back or forth during the search changes nothing.
    """

    def __init__(self, used: float = 0.0) -> None:
        """Starts counting.

        Args:
            used: Seconds earlier sessions used.
        """
        self._used = used
        self._start = time.monotonic()

    def used(self) -> float:
        """Seconds the search has run, earlier sessions included."""
        return self._used + time.monotonic() - self._start

    def now(self) -> float:
        """Seconds since 1970 (UTC)."""
        return time.time()


def iso(seconds: float) -> str:
    """Writes seconds since 1970 as ISO 8601 in UTC with milliseconds."""
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_iso(text: str) -> float:
    """Reads what :func:`iso` wrote."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
