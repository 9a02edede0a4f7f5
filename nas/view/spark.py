"""Draws a curve in one line of text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_BLOCKS = "▁▂▃▄▅▆▇█"
_WIDEST = 30  # columns


def spark(values: Sequence[float], top: float | None = None) -> str:
    """Draws values as blocks, the smallest for the lowest value, a full one for ``top`` or the highest.

    Args:
        values: At least one value; with more than there are columns, each column shows the last of its share.
        top: Value of a full block, if it is above the highest value.
    """
    columns = min(len(values), _WIDEST)
    shown = [values[(place + 1) * len(values) // columns - 1] for place in range(columns)]
    low, high = min(values), max([*values, *([] if top is None else [top])])
    span = (high - low) or 1.0
    return "".join(_BLOCKS[round((value - low) / span * (len(_BLOCKS) - 1))] for value in shown)
