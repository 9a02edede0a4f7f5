"""Durations and sizes as people write them: ``72h``, ``1h30m``, ``20GB``."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from nas.util.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Mapping

_SECONDS = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_BYTES = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_LONGEST = 100 * 365 * 86_400


def parse_duration(text: str, field: str = "budget") -> float:
    """Reads a duration such as ``72h``, ``90m``, ``1h30m``, ``3d`` or ``45s``.

    Args:
        text: What the user wrote.
        field: The setting to name in the error.

    Returns:
        Seconds, positive.

    Raises:
        UserError: If it is not a duration, not positive, or longer than a century.
    """
    compact = text.strip().lower()
    parts = re.findall(r"([0-9]+(?:\.[0-9]+)?)([dhms])", compact)
    units = [unit for _, unit in parts]
    in_order = units == sorted(set(units), key="dhms".index)
    if not parts or not in_order or "".join(number + unit for number, unit in parts) != compact:
        rule = "not a duration; write for example 72h, 90m, 1h30m or 3d"
        raise SettingError(field, text, rule, repr(text))
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if not 0 < seconds <= _LONGEST:
        raise SettingError(field, text, "must be more than 0 and at most 100 years", repr(text))
    return seconds


def format_duration(seconds: float) -> str:
    """Writes seconds with its two largest units: ``3d 4h``, ``1h 30m``, ``2m 05s``, ``4.2s``, ``30ms``."""
    if 0 < seconds < 0.9995:
        return f"{1000 * seconds:.0f}ms"
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3_600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < 86_400:
        return f"{whole // 3_600}h {whole % 3_600 // 60:02d}m"
    return f"{whole // 86_400}d {whole % 86_400 // 3_600:02d}h"


def parse_timeout(text: str, field: str) -> float | None:
    """Reads a duration, or ``auto`` as None.

    Raises:
        UserError: See :func:`parse_duration`.
    """
    return None if text == "auto" else parse_duration(text, field)


def parse_size(text: str, field: str = "checkpoint_quota") -> int:
    """Reads a size such as ``20GB``, ``500M`` or ``1.5 TB`` (decimal units).

    Returns:
        Bytes, at least 0.

    Raises:
        UserError: If it is not a size.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*([KMGT]?)I?B?", text.strip().upper())
    if match is None:
        raise SettingError(field, text, "not a size; write for example 20GB or 500MB", repr(text))
    return int(float(match[1]) * _BYTES[match[2]])


def format_size(size: float) -> str:
    """Writes bytes with one decimal unit: ``1.4 GB``."""
    for unit, factor in reversed(_BYTES.items()):
        if unit and size >= factor:
            return f"{size / factor:.1f} {unit}B"
    return f"{size:.0f} B"


def format_whole(number: float | None) -> str:
    """Writes an integer with thousands separators, or beyond a quadrillion as a power of ten.

    None, as JSON has it, and infinity are ``infinitely many``.
    """
    if number is None or math.isinf(number):
        return "infinitely many"
    return f"{number:,.0f}" if number < 1e15 else f"{float(number):.1e}"


def counted(number: float | None, noun: str, plural: str = "") -> str:
    """Writes a number with its noun: ``1 epoch``, ``3,000 epochs``.

    Args:
        number: How many there are, written as by :func:`format_whole`.
        noun: What is counted, in the singular.
        plural: Its plural, where that is not the noun and an s.
    """
    return f"{format_whole(number)} {noun if number == 1 else plural or noun + 's'}"


def parse_count(text: str, field: str) -> float:
    """Reads a count such as ``600M``, ``4.5G``, ``60k`` or ``5000000``.

    Raises:
        UserError: If it is invalid or not above 0.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?(?:E\+?[0-9]{1,2})?)\s*([KMGT]?)", text.strip().upper())
    return _above_0(match, _BYTES, field, text, "a number above 0; write for example 600M or 4.5G")


def parse_milliseconds(text: str, field: str) -> float:
    """Reads a short time such as ``4ms``, ``250us`` or ``0.5s``, in milliseconds.

    Raises:
        UserError: If it is invalid or not above 0.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*(us|ms|s)", text.strip().lower())
    units = {"us": 0.001, "ms": 1.0, "s": 1000.0}
    return _above_0(match, units, field, text, "a time above 0; write for example 4ms or 0.5ms")


def _above_0(
    match: re.Match[str] | None, units: Mapping[str, float], field: str, text: str, rule: str
) -> float:
    number = float(match[1]) * units[match[2]] if match else 0.0
    if not number:
        raise SettingError(field, text, f"not {rule}", repr(text))
    return number


def format_count(number: float) -> str:
    """Writes a large count in three digits: ``9.85 M``, ``424 M``, ``60.1 k``."""
    for unit, factor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= factor:
            return f"{number / factor:.3g} {unit}"
    return f"{number:.0f}"
