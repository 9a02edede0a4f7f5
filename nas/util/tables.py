"""Tables, for a terminal and in Markdown."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

_PIPE_WIDTH = 132  # characters; a terminal reports its width


def table(
    title: str | None,
    *names: str,
    words: Container[str] = ("",),
    fold: bool = False,
    title_style: str | None = None,
) -> Table:
    """Makes a table without rows.

    Args:
        title: What stands above it.
        names: Its columns.
        words: Those of words, which begin on the left; figures end on the right.
        fold: Break what is too long instead of cutting it off.
        title_style: Style of the title.
    """
    made = Table(
        box=box.SIMPLE_HEAD,
        header_style="bold",
        title=title,
        title_justify="left",
        title_style=title_style,
    )
    for name in names:
        justify, overflow = "left" if name in words else "right", "fold" if fold else "ellipsis"
        made.add_column(name, justify=justify, overflow=overflow)  # type: ignore[arg-type]  # literals
    return made


def show(made: Table, pipe_width: int = _PIPE_WIDTH) -> None:
    """Prints a table as wide as the terminal is, or as this in a pipe."""
    Console(width=None if sys.stdout.isatty() else pipe_width).print(made)


def markdown(head: Sequence[str], rows: Iterable[Iterable[str]], *, figures: bool = False) -> list[str]:
    """Writes a table's lines in Markdown; with ``figures`` all columns but the first end on the right."""
    other = "---:|" if figures else "---|"
    lines = [f"| {' | '.join(head)} |", "|---|" + other * (len(head) - 1)]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows)]
