"""A journal read as it grows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.run import journal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nas.run.events import Event

# At a time: a long journal's events take far more memory than what they amount to.
_PIECE = 1 << 24  # bytes


class Tail:
    """Reads a journal from where it was read to the last time.

    Attributes:
        lines: Read so far.
        offset: Bytes read so far.
    """

    def __init__(self, path: Path) -> None:
        """Takes the journal, which need not be there yet."""
        self._path = path
        self.offset = 0
        self.lines = 0

    def more(self) -> Iterator[Event]:
        """What was journaled since the last time, in order.

        Raises:
            UserError: If a line is damaged.
        """
        if not self._path.exists():
            return
        while (contents := journal.read(self._path, self.offset, self.lines + 1, _PIECE)).events:
            self.offset, self.lines = contents.size, self.lines + len(contents.events)
            yield from contents.events
