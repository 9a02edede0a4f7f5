"""What a space draws of its networks: boxes from input to output."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """A box of the diagram.

    Attributes:
        title: Its first line.
        lines: Its layers from input to output.
        size: Side of the map it gives, pixels; 0: a vector.
        repeats: How often it comes.
        residual: Whether a shortcut runs around it; what is on the shortcut, "" for nothing at all.
    """

    title: str
    lines: tuple[str, ...]
    size: int
    repeats: int = 1
    residual: str | None = None
