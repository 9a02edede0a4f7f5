"""Moments as texts, ISO 8601 in UTC, as a run's files hold them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

_A_WEEK = 6 * 86_400  # seconds within which a day's name says which


def iso(seconds: float) -> str:
    """Writes seconds since 1970 as ISO 8601 in UTC with milliseconds."""
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_iso(text: str) -> float:
    """Reads what :func:`iso` wrote."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def moment(seconds: float) -> str:
    """The local time in so many seconds: ``Sat 21:40``, with its date where the day alone misleads."""
    then = datetime.now() + timedelta(seconds=seconds)
    return f"{then:%a %H:%M}" if abs(seconds) < _A_WEEK else f"{then:%Y-%m-%d %H:%M}"
