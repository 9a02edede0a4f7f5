"""Commands to suggest for a run, quoted so that they work as printed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import search_spaces
from nas.util.commands import typed
from nas.util.quantities import format_duration
from search_spaces.loading import is_code

if TYPE_CHECKING:
    from nas.run.search_file import SearchFile


_LONGER = 2  # factor for the limit that ended a search


def space_flag(space: str) -> tuple[str, ...]:
    """Returns the arguments that name a custom space, whose code runs only if named; none otherwise."""
    return ("--space", space) if is_code(space) else ()


@dataclass(frozen=True)
class RunCommands:
    """The commands to suggest for a run.

    Attributes:
        path: The run folder.
        space: The search space, as the user named it.
        seconds: The time budget.
        trials: Maximum number of trials, None without one.
        python: The interpreter.
        front: Whether the run minimises costs besides the error.
    """

    path: Path
    space: str
    seconds: float
    trials: int | None
    python: str = "python"
    front: bool = False

    @classmethod
    def of(cls, path: Path, search: SearchFile, python: str = "python") -> RunCommands:
        """Builds the commands from ``search.json``."""
        front = search.objectives is not None and bool(search.objectives.costs)
        return cls(path, search.named_space, search.limits.seconds, search.limits.trials, python, front)

    @property
    def report(self) -> str:
        """Command that writes the report."""
        return self._line("analysis.report", self.path)

    @property
    def confirm(self) -> str:
        """Command that trains the best again with several seeds."""
        top = () if self.front else ("--top", 3)
        return self._line("nas.confirm", self.path, *top, "--seeds", 3, *space_flag(self.space))

    @property
    def export(self) -> str:
        """Command that exports the winner at the space's first full size, or as searched if none is known.

        Only the code of a custom space knows its full sizes, and it is not run for this.
        """
        sizes = search_spaces.get(self.space).full_sizes if self.space in search_spaces.names() else {}
        size, target = next(iter(sizes), "reduced"), Path("models", self.path.name)
        return self._line("nas.export", self.path, "--geometry", size, "-o", target, *space_flag(self.space))

    @property
    def dashboard(self) -> str:
        """Command that opens the run in DeepCAVE."""
        return self._line("analysis.dashboard", self.path)

    @property
    def compare(self) -> str:
        """Command that compares the run with another one."""
        return self._line("analysis.compare", self.path, "runs/OTHER")

    def resume(self, reason: str) -> str | None:
        """Returns the command that continues the search.

        Args:
            reason: Why it stopped, "" for a kill. A limit that was reached is doubled; otherwise nothing has
                to change.

        Returns:
            The command, None if there is nothing left to search.
        """
        if reason == "exhausted":
            return None
        longer: tuple[object, ...] = ()
        if reason == "budget":
            longer = ("--budget", format_duration(_LONGER * self.seconds).replace(" ", ""))
        elif reason == "trials" and self.trials is not None:
            longer = ("--trials", _LONGER * self.trials)
        return self._line("nas.search", "--resume", self.path, *longer, *space_flag(self.space))

    def _line(self, module: str, *args: object) -> str:
        return typed(module, *args, python=self.python)
