"""A second trial process that gets ready for the next trial while the first one trains.

A process of its own and not a thread: random numbers, compiled kernels, CUDA graphs, memory and faults of the
two have nothing to do with each other, so a trial is the same whichever of them trains it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.execution.messages import READY, Coming, Facts
from nas.execution.process import TrialProcess

if TYPE_CHECKING:
    from nas.execution.messages import TrialSpec
    from nas.execution.settings import WorkerSettings

_LOSSES = 3  # spare processes that may be lost before there are no more


class Spare:
    """Starts the second process when it is first wanted, and gives it away when its trial's turn comes."""

    def __init__(self, settings: WorkerSettings, facts: Facts) -> None:
        """Prepares.

        Args:
            settings: What a trial process needs to know.
            facts: What the first one said of itself.
        """
        self._settings = settings
        self._facts = facts
        self._process: TrialProcess | None = None
        self._busy = True  # loading its data, or preparing
        self._losses = 0
        self._wanted: TrialSpec | None = None  # what it is to prepare
        self._told: TrialSpec | None = None  # what it was told to prepare

    def prepare(self, spec: TrialSpec) -> None:
        """Has a trial prepared; one that was prepared before and not taken is forgotten."""
        self._wanted = spec
        if self._process is None and self._losses < _LOSSES:
            self._process, self._busy = TrialProcess(self._settings), True
        self.look()

    def look(self) -> None:
        """Finds out how the process fares; never waits."""
        process = self._process
        if process is None:
            return
        while self._busy and process.pipe.poll():
            answer = process.receive(0.0)
            if answer != READY and (not isinstance(answer, Facts) or answer.data != self._facts.data):
                self._lose()
                return
            self._busy = False
        if not process.alive:
            self._lose()
        elif not self._busy and self._wanted is not None and self._told is not self._wanted:
            process.send(Coming(self._wanted))
            self._told, self._busy = self._wanted, True

    def take(self, spec: TrialSpec) -> TrialProcess | None:
        """The process that prepares this trial, if it lives; the caller owns it from now on."""
        self.look()
        told, process = self._told, self._process
        if process is None or told is None:
            return None
        if (told.config_id, told.seed) != (spec.config_id, spec.seed):
            return None
        self._process, self._told, self._wanted, self._losses = None, None, None, 0
        return process

    def give(self, process: TrialProcess) -> None:
        """Takes a process that is idle as the next one to prepare a trial."""
        self._process, self._busy = process, False

    def close(self) -> None:
        """Ends it."""
        if self._process is not None:
            self._process.close()
        self._process, self._told = None, None

    def _lose(self) -> None:
        # What killed it, its trial will meet at its own turn.
        self._losses += 1
        self._wanted = None
        self.close()
