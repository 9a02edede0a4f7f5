"""Settings that must lie in a range."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from nas.util.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Mapping


def refuse_outside(settings: object, ranges: Mapping[str, tuple[float, float]]) -> None:
    """Refuses settings out of range; None, a default that follows from others, is always valid.

    Args:
        settings: A dataclass.
        ranges: Lowest and highest value by field; infinity for no highest.

    Raises:
        SettingError: If there are any; it names the first.
    """
    for name, (low, high) in ranges.items():
        value = getattr(settings, name)
        if value is not None and not low <= value <= high:
            rule = f"{low:g} to {high:g}" if math.isfinite(high) else f"at least {low:g}"
            raise SettingError(name, value, f"must be {rule}")


def at_least(settings: object, **lowest: float) -> None:
    """Refuses settings below their lowest value.

    Raises:
        SettingError: If there are any; it names the first.
    """
    refuse_outside(settings, {name: (low, math.inf) for name, low in lowest.items()})
