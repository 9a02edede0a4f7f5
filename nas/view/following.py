"""A search in plain lines, as in ``tail -f``: first the last ones, then each new one."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, TextIO

from nas.run.liveness import RUNNING
from nas.util.quantities import counted, format_duration
from nas.util.timestamps import from_iso
from nas.view import panel
from nas.view.lines import describe, percent
from nas.view.logfile import stamped

if TYPE_CHECKING:
    from nas.run.events import Event
    from nas.run.objectives import Objectives
    from nas.run.state import SearchState
    from nas.view.snapshot import RunningTrial, Snapshot

_FIRST = 10  # lines, as in tail
_SILENT = 10.0  # seconds without a line before one about the running trials


class Following:
    """Writes the events of a search that another process runs.

    Attributes:
        objectives: Objectives and limits of the search besides the error, None for none.
    """

    def __init__(self, file: TextIO) -> None:
        """Takes the file to write to."""
        self._file = file
        self._earlier: deque[str] | None = deque(maxlen=_FIRST)
        self._written = time.monotonic()
        self._reached: list[tuple[int, int]] = []
        self.objectives: Objectives | None = None

    def event(self, event: Event, state: SearchState) -> None:
        """Writes an event with its local time."""
        text = describe(event, state, self.objectives)
        if text is not None:
            line = stamped(text, from_iso(event.time))
            self._write(line) if self._earlier is None else self._earlier.append(line)

    def goes_on(self, snapshot: Snapshot) -> bool:
        """Writes the progress of running trials after a silence; returns whether more is to come."""
        if self._earlier is not None:
            earlier, self._earlier = self._earlier, None
            for line in earlier:
                self._write(line)
            self._reached = _reached(snapshot)
        if snapshot.status != RUNNING:
            self._write(stamped(_outcome(snapshot)))
            return False
        if time.monotonic() - self._written > _SILENT and _reached(snapshot) != self._reached:
            for trial in snapshot.running:
                self._write(stamped(_progress(trial)))
            self._reached = _reached(snapshot)
        return True

    def _write(self, line: str) -> None:
        self._file.write(line)
        self._file.flush()
        self._written = time.monotonic()


def _reached(snapshot: Snapshot) -> list[tuple[int, int]]:
    return [(trial.trial, trial.epochs_done) for trial in snapshot.running]


def _progress(trial: RunningTrial) -> str:
    return f"trial {trial.trial}: {panel.progress(trial)}"


def _outcome(snapshot: Snapshot) -> str:
    used = f"{format_duration(snapshot.used_seconds)} of {format_duration(snapshot.budget_seconds)}"
    text = f"{snapshot.name} {panel.standing(snapshot)}; {counted(snapshot.finished, 'trial')} in {used}"
    best = snapshot.incumbent
    if best is None:
        return f"{text}, no incumbent"
    return f"{text}, incumbent trial {best.trial} ({best.config_id}), top-1 {percent(best.error)}"
