"""The live view: the panel, redrawn twice a second while the search runs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from nas.run.events import Ended, NewIncumbent
from nas.view import panel
from nas.view.lines import describe
from nas.view.redrawn import Redrawn

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import RenderableType

    from nas.run.events import Event
    from nas.run.state import SearchState
    from nas.view.snapshot import Snapshot


class LiveView:
    """Listener that shows a search in a panel; notes and crashes scroll by above it."""

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        """Takes a function that returns the present snapshot."""
        self._snapshot = snapshot
        self._console = Console()
        # Redrawn by tick only, since another thread would read the state while the loop changes it.
        self._live = Redrawn(self._draw, console=self._console)
        self._drawn = 0.0

    def __enter__(self) -> LiveView:
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def tick(self) -> None:
        """Redraws the panel, at most twice a second."""
        if time.monotonic() - self._drawn > 0.5:
            self._live.refresh()
            self._drawn = time.monotonic()

    def event(self, event: Event, state: SearchState) -> None:
        """Prints new incumbents and crashes above the panel."""
        if isinstance(event, NewIncumbent) or (isinstance(event, Ended) and event.status == "crashed"):
            text = describe(event, state)
            if text is not None:
                self.note(text)

    def note(self, text: str) -> None:
        """Prints a line above the panel."""
        self._console.print(Text(text))

    def _draw(self) -> RenderableType:
        return panel.draw(self._snapshot())
