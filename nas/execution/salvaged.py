"""Answers trials from the results salvaged from a damaged journal, and runs all others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.execution.messages import EpochDone, Note, TrialEnded
from nas.run import journal
from nas.util.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nas.execution.messages import Facts, Report, TrialSpec
    from nas.execution.protocol import Executor
    from nas.run.events import Salvaged
    from nas.run.folder import Run


class RecordedExecutor:
    """Wraps an executor: trials whose results were salvaged are not trained again."""

    def __init__(self, executor: Executor, record: Iterable[Salvaged]) -> None:
        """Takes the salvaged results, and the executor for all other trials.

        Args:
            executor: Runs the other trials.
            record: Results from :func:`nas.run.repair.finished`.
        """
        self._executor = executor
        self._record = {(known.config_id, known.epochs): known for known in record}
        self._ready: list[Report] = []

    @property
    def slots(self) -> int:
        """How many trials can run at the same time."""
        return self._executor.slots

    def start(self) -> Facts:
        """Starts the other executor."""
        return self._executor.start()

    def submit(self, spec: TrialSpec) -> None:
        """Answers a trial, or starts it."""
        known = self._record.get((spec.config_id, spec.epochs))
        if known is None:
            self._executor.submit(spec)
            return
        self._ready += [
            EpochDone(spec.trial, epoch, metrics)
            for epoch, metrics in known.curve
            if epoch > spec.known_epochs
        ]
        self._ready.append(Note(f"trial {spec.trial}: taken from salvaged.jsonl, not trained again"))
        self._ready.append(TrialEnded(spec.trial, known.error, known.metrics, known.reason))

    def prepare(self, spec: TrialSpec) -> None:
        """Passes the announcement on, unless the trial will be answered."""
        if (spec.config_id, spec.epochs) not in self._record:
            self._executor.prepare(spec)

    def poll(self, timeout: float) -> list[Report]:
        """Returns answers from the salvaged results, else the other executor's reports."""
        ready, self._ready = self._ready, []
        return ready or self._executor.poll(timeout)

    def pause(self) -> None:
        """Asks running trials to stop."""
        self._executor.pause()

    def close(self) -> None:
        """Ends the other executor."""
        self._executor.close()


def with_salvage(executor: Executor, run: Run) -> Executor:
    """Wraps an executor with the salvaged results if the run's journal had to be cut.

    Raises:
        UserError: If the salvaged lines are damaged as well.
    """
    if not run.salvaged.exists():
        return executor
    try:
        record = journal.read_salvaged(run.salvaged)
    except ValueError as error:
        raise UserError(f"{run.salvaged}: not what nas.repair writes ({error}); remove it") from None
    return RecordedExecutor(executor, record)
