"""A second trial process that gets ready for the next trial while the first one trains.

A process and not a thread: the two share no random numbers, compiled kernels, CUDA graphs, memory or faults,
so a trial has the same result whichever of them trains it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.execution.messages import READY, Facts, NextTrial
from nas.execution.process import TrialProcess

if TYPE_CHECKING:
    from nas.execution.messages import TrialSpec
    from nas.execution.settings import WorkerSettings

_LOSSES = 3  # spare processes that may be lost before there are no more


class SpareProcess:
    """Starts the second process when first needed, and hands it over when its trial starts."""

    def __init__(self, settings: WorkerSettings, facts: Facts) -> None:
        """Starts no process yet.

        Args:
            settings: What a trial process needs to know.
            facts: Facts that the first one reported; those of the second must be the same.
        """
        self._settings = settings
        self._facts = facts
        self._process: TrialProcess | None = None
        self._busy = True  # loading its data, or preparing
        self._losses = 0
        self._wanted: TrialSpec | None = None  # what it is to prepare
        self._told: TrialSpec | None = None  # what it has been asked to prepare

    def prepare(self, spec: TrialSpec) -> None:
        """Prepares a trial, in place of one prepared before and not taken."""
        self._wanted = spec
        if self._process is None and self._losses < _LOSSES:
            self._process, self._busy = TrialProcess(self._settings), True
        self.look()

    def look(self) -> None:
        """Checks on the process without waiting."""
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
            process.send(NextTrial(self._wanted))
            self._told, self._busy = self._wanted, True

    def take(self, spec: TrialSpec) -> TrialProcess | None:
        """Hands over the process that prepares this trial, if it is alive."""
        self.look()
        told, process = self._told, self._process
        if process is None or told is None:
            return None
        if (told.config_id, told.seed) != (spec.config_id, spec.seed):
            return None
        self._process, self._told, self._wanted, self._losses = None, None, None, 0
        return process

    def give(self, process: TrialProcess) -> None:
        """Takes an idle process as the next one to prepare a trial."""
        self._process, self._busy = process, False

    def close(self) -> None:
        """Ends it."""
        if self._process is not None:
            self._process.close()
        self._process, self._told = None, None

    def _lose(self) -> None:
        # Its trial will meet whatever killed it when it runs.
        self._losses += 1
        self._wanted = None
        self.close()
