"""Runs trials and journals their results: the common part of a search and a confirmation."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING

from nas.execution.messages import EpochDone, Halted, Note, TrialEnded, TrialPaused
from nas.run.events import Ended, Epoch, Paused, SessionStopped
from nas.util.errors import UserError
from nas.util.quantities import format_duration
from nas.util.timestamps import iso

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nas.execution.messages import Report
    from nas.execution.protocol import Executor
    from nas.run.events import Event, SessionStarted
    from nas.run.journal import Journal
    from nas.run.state import SearchState, Trial
    from nas.search.clock import Clock
    from nas.search.listener import Listener

_POLL = 0.25  # seconds within which a signal or the deadline is noticed
_GRACE = 45.0  # seconds that a running trial has to reach the end of its epoch when the search ends


class TrialRunner(ABC):
    """Runs an executor and journals its reports until all trials are done or it is asked to stop.

    Subclasses decide which trials run and what follows from their ends.

    Attributes:
        state: The state, a fold of the journal.
    """

    def __init__(
        self,
        *,
        state: SearchState,
        journal: Journal,
        executor: Executor,
        clock: Clock,
        listeners: Sequence[Listener],
    ) -> None:
        """Continues from ``state``."""
        self.state = state
        self._journal = journal
        self._executor = executor
        self._clock = clock
        self._listeners = listeners
        self._stop = ""
        self._hurry = False
        self._stood_still = clock.stood_still

    def used(self) -> float:
        """Seconds of the budget used."""
        return self._clock.used()

    def stop(self, reason: str) -> None:
        """Requests a stop; after a second call running trials are not waited for."""
        self._hurry = bool(self._stop)
        self._stop = self._stop or reason

    def run(self, session: SessionStarted) -> str:
        """Runs until nothing is left to do, a limit is reached, a stop is requested or a fatal error occurs.

        Args:
            session: Facts of this session, for the journal; its time is set here.

        Returns:
            Why it ended: a word of the subclass, or the argument of :meth:`stop`.

        Raises:
            UserError: If the journal cannot be written, or trials cannot be run at all.
        """
        time, clock = self._now()
        self._emit(replace(session, time=time, clock=clock))
        try:
            self._work()
            self._wind_down()
        except UserError as error:
            with contextlib.suppress(UserError):  # the journal itself may have failed
                self._emit(SessionStopped(*self._now(), reason="error", message=str(error)))
            raise
        self._emit(SessionStopped(*self._now(), reason=self._stop))
        return self._stop

    @abstractmethod
    def _work(self) -> None:
        """Starts trials and polls until ``_stop`` has a reason."""

    def _fold(self, event: Event) -> None:
        self.state.apply(event)

    def _poll(self) -> None:
        for report in self._executor.poll(_POLL):
            self._take(report)
        self._notice_standstill()
        for listener in self._listeners:
            listener.tick()

    def _notice_standstill(self) -> None:
        gap = self._clock.stood_still - self._stood_still
        if gap > 0:
            self._stood_still += gap
            self.note(
                f"stood still for {format_duration(gap)} (stopped or suspended): it counts neither as budget "
                "nor towards a trial's timeout"
            )

    def _take(self, report: Report) -> None:
        if isinstance(report, Note):
            self.note(report.text)
        elif isinstance(report, EpochDone):
            metrics = dict(report.metrics)
            point = Epoch(*self._now(), trial=report.trial, epoch=report.epoch, metrics=metrics)
            # An epoch can be trained again, so it is not worth waiting for the disk.
            self._emit(point, durable=False)
        elif isinstance(report, TrialPaused):
            self._emit(Paused(*self._now(), trial=report.trial))
        elif isinstance(report, Halted):
            self._clock.leave_out(report.seconds)
        elif isinstance(report, TrialEnded):
            self._end(self.state.trials[report.trial], report)

    def _end(self, trial: Trial, report: TrialEnded, *, cached: bool = False) -> None:
        """Journals the end of a trial, or if ``cached`` an answer from the record; subclasses act on it."""
        self._emit(
            Ended(
                *self._now(),
                trial=trial.trial,
                status="crashed" if report.error is None else "success",
                error=report.error,
                metrics=dict(report.metrics),
                reason=report.reason,
                seconds=0.0 if cached else round(self._clock.used() - trial.clock_started, 3),
                cached=cached,
            )
        )

    def _wind_down(self) -> None:
        if self.state.running_trials():
            self._executor.pause()
        deadline = self._clock.used() + _GRACE
        while self.state.running_trials() and not self._hurry and self._clock.used() < deadline:
            self._poll()

    def _emit(self, event: Event, *, durable: bool = True) -> None:
        self._journal.append(event, durable=durable)
        self._fold(event)
        for listener in self._listeners:
            listener.event(event, self.state)

    def _now(self) -> tuple[str, float]:
        """An event's time and clock."""
        return iso(self._clock.now()), round(self._clock.used(), 3)

    def note(self, text: str) -> None:
        """Tells all listeners."""
        for listener in self._listeners:
            listener.note(text)
