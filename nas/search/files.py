"""What a run's folder holds beside the journal, brought up to date as trials end."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.execution import keeping
from nas.run import incumbent

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from nas.run.folder import Run
    from nas.run.objectives import Objectives
    from nas.run.state import SearchState
    from nas.search.clock import Clock
    from nas.search.weighing import Weighing
    from nas.trial.weights import WeightStore
    from search_spaces.base import SearchSpace

_SNAPSHOT = 600.0  # seconds between snapshots of the optimiser's own files ...
_SNAPSHOT_SHARE = 200.0  # ... or so many times what the last one took, if that is more


@dataclass(frozen=True)
class Files:
    """The incumbent's file, the front's, and the weights of the best.

    The journal has all that they say, and the next start writes them again: a disk that has no room for them
    does not end the search.

    Attributes:
        run: The run.
        space: What is searched.
        max_epochs: The highest rung.
        note: Called with one line on what could not be written.
        weights: Where trained weights are kept, None for nowhere.
        weighing: Costs and limits, None for the error alone.
    """

    run: Run
    space: SearchSpace
    max_epochs: int
    note: Callable[[str], None]
    weights: WeightStore | None = None
    weighing: Weighing | None = None

    @property
    def objectives(self) -> Objectives | None:
        """What is weighed beside the error."""
        return None if self.weighing is None else self.weighing.objectives

    def write_incumbent(self, lead: incumbent.Lead, state: SearchState) -> None:
        """Writes ``incumbent.json``."""
        try:
            self.run.write_incumbent(incumbent.describe(lead, state, self.space))
        except OSError as error:
            self.note(f"{self.run.incumbent_json}: not written ({error.strerror})")

    def write_front(self, state: SearchState) -> None:
        """Writes ``front.json``, if there is a front."""
        if self.weighing is None:
            return
        try:
            self.weighing.write_front(self.run, state, self.space, self.max_epochs)
        except OSError as error:
            self.note(f"{self.run.front_json}: not written ({error.strerror})")

    def tidy_weights(self, state: SearchState) -> None:
        """Drops the weights of those that are no longer among the best."""
        if self.weights is not None:
            keeping.tidy(self.weights, state, self.max_epochs, self.objectives)


class Snapshots:
    """The optimiser's own files, for other tools; writing them takes a small share of the time.

    Args:
        run: The run.
        clock: The search's.
        save: Writes them into an empty folder.
    """

    def __init__(self, run: Run, clock: Clock, save: Callable[[Path], None]) -> None:
        self._run, self._clock, self._save = run, clock, save
        self._saved = clock.used()
        self._save_seconds = 0.0

    def take_if_due(self) -> None:
        """Takes one if the last is old enough."""
        if self._clock.used() - self._saved > max(_SNAPSHOT, _SNAPSHOT_SHARE * self._save_seconds):
            self.take()

    def take(self) -> None:
        """Takes one; a disk that has no room for it does not end the search."""
        begin = time.perf_counter()
        with contextlib.suppress(OSError):
            self._run.replace_smac(self._save)
        self._save_seconds = time.perf_counter() - begin
        self._saved = self._clock.used()
