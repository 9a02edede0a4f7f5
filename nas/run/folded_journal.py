"""A journal that was read and folded, so that nobody needs to do it again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.run.state import SearchState
from nas.util import output

if TYPE_CHECKING:
    from nas.run.folder import Run
    from nas.run.journal import Contents


@dataclass(frozen=True)
class FoldedJournal:
    """The journal before a session.

    Attributes:
        contents: Its events.
        state: Their fold; the session continues it.
    """

    contents: Contents
    state: SearchState

    @classmethod
    def of(cls, run: Run) -> FoldedJournal:
        """Reads and folds the journal of a run.

        Raises:
            UserError: If it is damaged.
        """
        output.doing("reading the journal")
        contents = run.read_journal()
        return cls(contents, SearchState.of(contents.events))

    def is_all(self, run: Run) -> bool:
        """Returns whether nothing was written since; unknown, thus False, after a half-written line."""
        return not self.contents.dropped and run.journal.stat().st_size == self.contents.size
