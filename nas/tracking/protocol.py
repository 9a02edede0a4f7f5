"""The protocol of trackers, and the record of what was sent to one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from nas.tracking.entries import Entry


class Tracker(Protocol):
    """Takes entries as they grow.

    An entry may be sent any number of times; the tracker finds out what is new in it. Opened again after a
    kill at any moment, it goes on with what it has. Any error may be raised: it is then closed, opened again
    and told everything once more.
    """

    def send(self, entry: Entry) -> None:
        """Takes an entry as far as it has come."""
        ...

    def artifacts(self, found: Mapping[str, Path]) -> None:
        """Takes the run's files and folders, by their names."""
        ...

    def close(self) -> None:
        """Closes the tracker; unfinished entries stay as they were last sent."""
        ...


class Sent:
    """Keys of entries that were sent to their end, in a file.

    A half-written line spoils the next one too: both entries are then sent once more, which does no harm.
    """

    def __init__(self, path: Path) -> None:
        """Reads what is there."""
        self._path = path
        self._keys = set(path.read_text().split("\n")[:-1] if path.exists() else ())

    def __contains__(self, key: str) -> bool:
        return key in self._keys

    def add(self, key: str) -> None:
        """Adds a key."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(f"{key}\n")
        self._keys.add(key)
