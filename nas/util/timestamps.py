"""Moments as texts, ISO 8601 in UTC, as a run's files hold them."""

from __future__ import annotations

from datetime import datetime, timezone


def iso(seconds: float) -> str:
    """Writes seconds since 1970 as ISO 8601 in UTC with milliseconds."""
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_iso(text: str) -> float:
    """Reads what :func:`iso` wrote."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
