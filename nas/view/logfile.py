"""The log file of a run: always written, whatever the terminal shows."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, TextIO

from nas.view.lines import describe

if TYPE_CHECKING:
    from pathlib import Path

    from nas.run.events import Event
    from nas.run.objectives import Objectives
    from nas.run.state import SearchState


class LineWriter:
    """Writes a line with the local time for each event worth showing."""

    def __init__(self, file: TextIO, objectives: Objectives | None = None) -> None:
        """Takes the file to write to, and objectives and limits besides the error."""
        self._file = file
        self._objectives = objectives

    def event(self, event: Event, state: SearchState) -> None:
        """Writes an event."""
        text = describe(event, state, self._objectives)
        if text is not None:
            self.note(text)

    def tick(self) -> None:
        """Does nothing."""

    def note(self, text: str) -> None:
        """Writes a line."""
        try:
            self._file.write(stamped(text))
            self._file.flush()
        except OSError:
            pass  # the journal has it all; a full disk or a closed terminal must not end the search


def stamped(text: str, seconds: float | None = None) -> str:
    """Prefixes a line with the local time of ``seconds`` since 1970, or the present time."""
    moment = datetime.now() if seconds is None else datetime.fromtimestamp(seconds)
    return f"{moment:%Y-%m-%d %H:%M:%S}  {text}\n"


class SilentListener:
    """Shows nothing."""

    def event(self, event: Event, state: SearchState) -> None:
        """Shows nothing."""

    def note(self, text: str) -> None:
        """Shows nothing."""

    def tick(self) -> None:
        """Shows nothing."""


def open_log(path: Path, objectives: Objectives | None = None) -> LineWriter:
    """Opens a run's log for appending."""
    return LineWriter(path.open("a", encoding="utf-8", errors="backslashreplace"), objectives)
