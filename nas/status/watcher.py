"""A run's journal, read as it grows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nas.util import memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from nas.run.confirmed_file import ConfirmedFile
    from nas.run.events import Event
    from nas.run.search_file import SearchFile
    from nas.run.state import SearchState
    from nas.view.snapshot import Snapshot


class Watcher:
    """Reads a run's journal as it grows."""

    def __init__(self, path: Path, listen: Callable[[Event, SearchState], None] | None = None) -> None:
        """Opens the run.

        Args:
            path: The run folder.
            listen: Called with each event and the state after it.

        Raises:
            UserError: If the folder is not a run.
        """
        from nas.run.folder import Run
        from nas.run.state import SearchState
        from nas.run.tail import Tail

        self._run = Run.open(path)
        self._search = self._run.read_search()
        self._state = SearchState()
        self._listen = listen
        self._tail = Tail(self._run.journal)

    def look(self) -> Snapshot:
        """Reads what has been journaled since the last call, and returns the run's present state.

        Raises:
            UserError: If the journal is damaged.
        """
        from nas.run import liveness
        from nas.view import snapshot

        self._catch_up()
        now = liveness.of(self._run, self._state)
        self._catch_up()  # what it wrote before it ended, if it ended meanwhile
        used = self._state.clock
        if now.status == liveness.RUNNING and self.lines:
            used += now.silent_seconds
        return snapshot.take(
            self._state, self._search, name=self._run.name, status=now.status, used=used, seen=now
        )

    def _catch_up(self) -> None:
        from nas.run.events import SessionStarted

        with memory.growing():
            for event in self._tail.more():
                self._state.apply(event)
                if self._listen is not None:
                    self._listen(event, self._state)
                if isinstance(event, SessionStarted):  # a resumed session may have another time budget
                    self._search = self._run.read_search()

    @property
    def lines(self) -> int:
        """Number of lines of the journal read so far."""
        return self._tail.lines

    @property
    def search(self) -> SearchFile:
        """``search.json``."""
        return self._search

    def confirmed(self) -> ConfirmedFile | None:
        """The result of ``nas.confirm``, None before it."""
        return self._run.read_confirmed()
