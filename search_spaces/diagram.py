"""Diagrams of networks: boxes from input to output."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """A box of the diagram.

    Attributes:
        title: Its first line.
        lines: Its layers from input to output.
        size: Height and width of its output map, pixels; 0 for a vector.
        repeats: Number of repetitions.
        residual: What is on the shortcut around it, "" for an identity; None without a shortcut.
    """

    title: str
    lines: tuple[str, ...]
    size: int
    repeats: int = 1
    residual: str | None = None
