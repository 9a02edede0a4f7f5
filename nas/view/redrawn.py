"""Panels and bars that are redrawn in place on a terminal, also when its size changes.

Most terminals rewrap their content when they become narrower, push lines out at the top when they become
lower, and bring them back when they become higher. So the beginning of the last drawing is computed from the
width of each of its lines, including those pushed out. (A line that is partly pushed out counts as a whole
one, so after several changes in both directions a row of it may remain.)
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.control import Control
from rich.live import Live
from rich.progress import Progress
from rich.segment import ControlType, Segment

from nas.util.spinner import can_redraw, in_foreground

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import ConsoleOptions, ConsoleRenderable, RenderableType, RenderResult
    from rich.progress import ProgressColumn


class Redrawn(Live):
    """A drawing that is replaced by its next state; printed lines scroll by above it.

    A job in the background draws nothing until its end.
    """

    def __init__(
        self,
        get_renderable: Callable[[], RenderableType],
        *,
        console: Console | None = None,
        auto_refresh: bool = False,
        transient: bool = False,
    ) -> None:
        """Takes a function that returns the next state; see :class:`rich.live.Live`."""
        self._lines: list[int] = []  # widths of the lines last drawn, without those pushed out at the top
        self._out = 0  # number of lines pushed out
        self._size = (0, 0)
        super().__init__(
            console=console or Console(),
            auto_refresh=auto_refresh,
            transient=transient,
            get_renderable=get_renderable,
        )

    def refresh(self) -> None:
        """Draws the next state."""
        if not self.is_started or self._in_foreground():
            super().refresh()

    def process_renderables(self, renderables: list[ConsoleRenderable]) -> list[ConsoleRenderable]:
        """Puts printed lines in place of the last drawing, and the next drawing below them."""
        if not self.console.is_interactive:
            return super().process_renderables(renderables)
        _, *printed, drawing = super().process_renderables(renderables)
        width, height = self.console.size
        taken = [max(-(-line // width), 1) for line in self._lines]
        # The cursor may be above the lowest row: only lines that a larger terminal brought back are reached.
        got_back = height if width > self._size[0] else max(height - self._size[1], 0)
        reached = min(sum(taken[self._out :]) + got_back, height)
        pushed_out = next((n for n in range(len(taken)) if sum(taken[n:]) <= reached), len(taken))
        self._size = width, height
        # Once something is printed, lines that were pushed out stay where they are.
        scrolls = any(not isinstance(one, Control) for one in printed)
        self._lines = [] if scrolls else self._lines[:pushed_out]
        self._out = len(self._lines)
        return [_erase(min(sum(taken), reached)), *printed, _Measured(drawing, self._lines)]

    def _in_foreground(self) -> bool:
        try:
            return in_foreground(self.console.file.fileno())
        except OSError:  # not a file, as in a test
            return True


class Bar(Progress):
    """A progress bar redrawn by a thread; shows nothing where it cannot be redrawn."""

    def __init__(self, *columns: ProgressColumn, transient: bool = False, shown: bool = True) -> None:
        """Takes its columns, whether it is removed when done, and whether it is shown at all."""
        super().__init__(
            *columns, console=Console(quiet=not shown), disable=not (shown and can_redraw(sys.stdout))
        )
        self.live = Redrawn(self.get_renderable, console=self.console, auto_refresh=True, transient=transient)


class _Measured:
    """A drawing that records the width of each of its lines."""

    def __init__(self, drawing: ConsoleRenderable, widths: list[int]) -> None:
        self._drawing, self._widths = drawing, widths

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        segments = list(console.render(self._drawing, options))
        self._widths += [Segment.get_line_length(line) for line in Segment.split_lines(segments)]
        yield from segments


def _erase(rows: int) -> Control:
    """Erases rows from the cursor's upwards; leaves the cursor in the uppermost."""
    if not rows:
        return Control()
    row = (ControlType.ERASE_IN_LINE, 2)
    return Control(ControlType.CARRIAGE_RETURN, row, *((ControlType.CURSOR_UP, 1), row) * (rows - 1))
