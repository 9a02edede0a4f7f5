"""The protocol of observers of a search, such as a log file or a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from nas.run.events import Event
    from nas.run.state import SearchState


class Listener(Protocol):
    """The protocol of observers of a search, such as a log file or a terminal."""

    def event(self, event: Event, state: SearchState) -> None:
        """An event was journaled; ``state`` includes it."""
        ...

    def note(self, text: str) -> None:
        """Something worth a line happened that is not an event."""
        ...

    def tick(self) -> None:
        """Time has passed; called several times a second."""
        ...
