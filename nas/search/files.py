"""The files of a run's folder besides the journal, updated as trials end."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.execution import keeping
from nas.run import front, incumbent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from nas.run.folder import Run
    from nas.run.front import FrontFile
    from nas.run.incumbent import IncumbentFile
    from nas.run.objectives import Objectives
    from nas.run.state import SearchState
    from nas.search.clock import Clock
    from nas.search.costing import SearchCosts
    from nas.trial.weights import WeightStore
    from search_spaces.base import SearchSpace

_SNAPSHOT = 600.0  # seconds between snapshots of the optimiser's files ...
_SNAPSHOT_SHARE = 200.0  # ... or this many times the duration of the last one, if that is more


@dataclass(frozen=True)
class Files:
    """Writes the incumbent's file and the front's, and keeps the weights of the best.

    All they say follows from the journal, and the next start writes them again, so a full disk does not end
    the search here.

    Attributes:
        run: The run.
        space: The search space.
        max_epochs: The highest rung.
        note: Called with one line on what could not be written.
        weights: The store of trained weights, None to keep none.
        costs: Costs and limits, None for the error alone.
    """

    run: Run
    space: SearchSpace
    max_epochs: int
    note: Callable[[str], None]
    weights: WeightStore | None = None
    costs: SearchCosts | None = None

    @property
    def objectives(self) -> Objectives | None:
        """Objectives and limits besides the error."""
        return None if self.costs is None else self.costs.objectives

    def write_incumbent(self, lead: incumbent.IncumbentEstimate, state: SearchState) -> None:
        """Writes ``incumbent.json``."""
        self._write(incumbent.describe(lead, state, self.space))

    def write_front(self, state: SearchState) -> None:
        """Writes ``front.json``, if there is a front."""
        if self.objectives is not None:
            self._write(front.describe(self.objectives, state, self.space, self.max_epochs))

    def _write(self, document: IncumbentFile | FrontFile) -> None:
        try:
            self.run.write(document)
        except OSError as error:
            self.note(f"{self.run.path / document.file_name}: not written ({error.strerror})")

    def tidy_weights(self, state: SearchState) -> None:
        """Removes the weights of networks that are no longer among the best."""
        if self.weights is not None:
            keeping.tidy(self.weights, state, self.max_epochs, self.objectives)


class Snapshots:
    """Snapshots of the optimiser's files for other tools, so rare that they take a small share of the time.

    Args:
        run: The run.
        clock: Clock of the search.
        save: Writes the files to an empty folder.
    """

    def __init__(self, run: Run, clock: Clock, save: Callable[[Path], None]) -> None:
        self._run, self._clock, self._save = run, clock, save
        self._saved = clock.used()
        self._save_seconds = 0.0

    def take_if_due(self) -> None:
        """Takes a snapshot if the last one is old enough."""
        if self._clock.used() - self._saved > max(_SNAPSHOT, _SNAPSHOT_SHARE * self._save_seconds):
            self.take()

    def take(self) -> None:
        """Takes a snapshot; a full disk does not end the search."""
        begin = time.perf_counter()
        with contextlib.suppress(OSError):
            self._run.replace_smac(self._save)
        self._save_seconds = time.perf_counter() - begin
        self._saved = self._clock.used()
