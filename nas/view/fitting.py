"""Parts of the panel that adapt to the available width, from 40 columns on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console, ConsoleOptions, RenderResult

_LABEL = 10  # columns
_WIDEST_BAR, _SHORTEST_BAR = 24, 8
_NARROW = 56  # columns; fewer have no room for a table of six columns or an indent
_ROOMY = 72  # columns; fewer have no room between the columns of a table


@dataclass(frozen=True)
class Bar:
    """A label, a bar and a text, which moves below the bar where it does not fit beside it.

    Attributes:
        share: Progress, 0..1.
        text: Markup; never cut.
        aside: Markup of text that may be left out.
    """

    label: str
    share: float
    text: str
    aside: str = ""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for text in (Text.from_markup(self.text + self.aside), Text.from_markup(self.text)):
            room = options.max_width - max(_LABEL, len(self.label)) - len(text) - 2
            if room >= _SHORTEST_BAR:
                yield self._row(min(room, _WIDEST_BAR), text)
                return
        yield self._row(min(options.max_width - max(_LABEL, len(self.label)) - 1, _WIDEST_BAR), Text())
        yield Padding(Text.from_markup(self.text), (0, 0, 0, 2))

    def _row(self, width: int, text: Text) -> Table:
        row = Table.grid(padding=(0, 1))
        row.add_column(min_width=_LABEL, no_wrap=True)
        row.add_column(width=width)
        row.add_column(no_wrap=True)
        row.add_row(self.label, ProgressBar(total=1.0, completed=min(self.share, 1.0), width=width), text)
        return row


@dataclass(frozen=True)
class Figures:
    """A table of figures.

    Attributes:
        heads: Head of each column, and whether the column may be left out if there is no room.
    """

    heads: Sequence[tuple[str, bool]]
    rows: Sequence[Sequence[str]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        narrow = options.max_width < _NARROW
        shown = [number for number, (_, spared) in enumerate(self.heads) if not (narrow and spared)]
        roomy = options.max_width >= _ROOMY
        table = Table(
            box=box.SIMPLE_HEAD, show_edge=False, pad_edge=roomy, padding=(0, int(roomy)), header_style="bold"
        )
        for number in shown:
            head = self.heads[number][0]
            cells = [row[number] for row in self.rows]
            words = [*head.split(), *(" ".join(cells).split() if narrow else cells)]
            table.add_column(head, justify="right", width=None if roomy else max(map(len, words)))
        for row in self.rows:
            table.add_row(*(row[number] for number in shown))
        yield table


@dataclass(frozen=True)
class Indented:
    """Lines below a headline, indented to its text if there is room."""

    lines: Sequence[Text]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        indent = 2 if options.max_width < _NARROW else _LABEL + 1
        yield Padding(Group(*self.lines), (0, 0, 0, indent))
