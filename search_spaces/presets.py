"""Widths by their names, for what was tuned by name: training settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

TINY, SMALL, PAPER = 16, 64, 512  # NEXcepTion's presets, at which training settings were tuned


def recipe_width(presets: Mapping[str, int], width: int) -> int:
    """NEXcepTion's width whose training settings suit a width of a space; one space's 8 is another's 512.

    Args:
        presets: The space's. Without tiny, small and paper among them, its widths are taken as they are.
        width: One of the space's widths. Up to twice a preset it counts as that, if below the next.
    """
    tiny, small, paper = (presets.get(name) for name in ("tiny", "small", "paper"))
    if tiny is None or small is None or paper is None:
        return width
    if width <= 2 * tiny and width < small:
        return TINY
    if width <= 2 * small and width < paper:
        return SMALL
    return PAPER
