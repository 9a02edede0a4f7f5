"""Times as text in a run's files: ISO 8601 in UTC."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

_A_WEEK = 6 * 86_400  # seconds within which the name of a day is unambiguous


def iso(seconds: float) -> str:
    """Writes seconds since 1970 as ISO 8601 in UTC with milliseconds."""
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_iso(text: str) -> float:
    """Inverts :func:`iso`."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def moment(seconds: float) -> str:
    """Formats the local time ``seconds`` from now: ``Sat 21:40``, with the date if the day is ambiguous."""
    then = datetime.now() + timedelta(seconds=seconds)
    return f"{then:%a %H:%M}" if abs(seconds) < _A_WEEK else f"{then:%Y-%m-%d %H:%M}"
