"""Trains every chosen configuration with every seed, and journals what comes back."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nas.confirmation.record import Record
from nas.engine.clock import iso
from nas.engine.messages import EpochDone, Note, TrialEnded, TrialPaused, TrialSpec
from nas.errors import UserError
from nas.seeds import derive

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nas.confirmation.candidates import Candidate
    from nas.engine.clock import Clock
    from nas.engine.cost import CostModel
    from nas.engine.executor import Executor
    from nas.engine.journal import Event, Journal
    from nas.engine.listener import Listener
    from nas.engine.messages import Report
    from nas.engine.state import Trial

ORIGIN = "confirmation"

_POLL = 0.25  # seconds: how soon a signal or the deadline is noticed
_GRACE = 45.0  # seconds a running trial gets to reach its epoch's end, as in the search
_TIMEOUT_FACTOR, _TIMEOUT_LEAST = 10.0, 120.0  # of what is predicted, and seconds, as in the search


@dataclass(frozen=True)
class Task:
    """What is to be trained.

    Attributes:
        chosen: The configurations, the most interesting first.
        seeds: Repeats of each.
        epochs: Budget of every training.
        seed: The run's seed; each repeat derives its own, the same for every configuration, so that
            differences between configurations can be taken seed by seed.
        seconds: Clock seconds in all, None for no limit.
        timeout: Seconds until a trial counts as hanging, None to predict it.
    """

    chosen: Sequence[Candidate]
    seeds: int
    epochs: int
    seed: int
    seconds: float | None = None
    timeout: float | None = None


class Confirmation:
    """Goes through the seeds, and for each through the configurations, until all have ended.

    Cut off at any moment, it has compared about as many seeds of each. What the journal has already
    is not trained again, but for crashes: those are tried once more.
    """

    def __init__(
        self,
        task: Task,
        *,
        journal: Journal,
        events: Sequence[Event],
        cost: CostModel,
        executor: Executor,
        clock: Clock,
        listeners: Sequence[Listener] = (),
    ) -> None:
        """Takes up a confirmation where its journal ends; ``events`` is empty for a new one."""
        self.record = Record.of(events)
        self._task = task
        self._journal = journal
        self._cost = cost
        self._executor = executor
        self._clock = clock
        self._listeners = listeners
        self._due = list(self._left())
        self._stop = ""
        self._hurry = False

    @property
    def left(self) -> int:
        """Trainings that wait for their turn."""
        return len(self._due)

    def predict(self) -> float:
        """Seconds that what is left will take, on the safe side; 0.0 if nothing is known."""
        return sum(self._seconds(one, repeat) for one, repeat in self._due) / self._executor.slots

    def stop(self, reason: str) -> None:
        """Asks it to wind down; asked twice, running trials are not waited for."""
        self._hurry = bool(self._stop)
        self._stop = self._stop or reason

    def run(self, session: dict[str, Any]) -> str:
        """Trains until all is done, the time is used or it is told to stop.

        Args:
            session: Facts of this session, for the journal.

        Returns:
            ``done``, ``budget`` or what :meth:`stop` got.

        Raises:
            UserError: If the disk no longer takes the journal, or the trial process cannot start.
        """
        self._emit({"event": "session", "phase": "start", **session})
        try:
            while not self._stop:
                self._fill_slots()
                if not self.record.state.running_trials():
                    self._stop = self._stop or "done"
                    break
                self._poll()
                if self._task.seconds is not None and self._clock.used() >= self._task.seconds:
                    self._stop = self._stop or "budget"
            self._wind_down()
        except UserError as error:
            with contextlib.suppress(UserError):  # the journal itself may be what failed
                self._emit({"event": "session", "phase": "stop", "reason": "error", "message": str(error)})
            raise
        self._emit({"event": "session", "phase": "stop", "reason": self._stop})
        return self._stop

    def _left(self) -> Iterator[tuple[Candidate, int]]:
        for repeat in range(1, self._task.seeds + 1):
            for one in self._task.chosen:
                trial = self.record.trial(one.config_id, repeat)
                if trial is None or trial.error is None:
                    yield one, repeat

    def _fill_slots(self) -> None:
        while self._due and len(self.record.state.running_trials()) < self._executor.slots:
            one, repeat = self._due[0]
            limit = self._task.seconds
            if limit is not None and self._clock.used() + self._seconds(one, repeat) > limit:
                if not self.record.state.running_trials():
                    self._stop = self._stop or "budget"
                return
            self._start(*self._due.pop(0))

    def _open(self, one: Candidate, repeat: int) -> Trial | None:
        """The repeat's trial that an earlier session did not finish."""
        trial = self.record.trial(one.config_id, repeat)
        return None if trial is None or trial.finished else trial

    def _seconds(self, one: Candidate, repeat: int) -> float:
        trial = self._open(one, repeat)
        done = 0 if trial is None else max(trial.curve, default=0)
        return self._cost.seconds(one.config_id, one.config, self._task.epochs - done)

    def _start(self, one: Candidate, repeat: int) -> None:
        trial = self._open(one, repeat) or self._ask(one, repeat)
        timeout = self._task.timeout
        if timeout is None:
            whole = self._cost.seconds(one.config_id, one.config, self._task.epochs)
            timeout = max(_TIMEOUT_FACTOR * whole, _TIMEOUT_LEAST)
        self._emit({"event": "started", "trial": trial.trial})
        under_way = self.record.state.running_trials()
        self._executor.submit(
            TrialSpec(
                trial=trial.trial,
                config_id=self._key(trial),
                config=one.config,
                epochs=self._task.epochs,
                seed=derive(self._task.seed, "confirm", repeat),
                timeout=timeout,
                known_epochs=max(trial.curve, default=0),
                keep={self._key(other): 0.0 for other in under_way},
            )
        )

    def _ask(self, one: Candidate, repeat: int) -> Trial:
        number = len(self.record.state.trials) + 1
        self._emit(
            {
                "event": "asked",
                "trial": number,
                "config_id": one.config_id,
                "config": one.config,
                "epochs": self._task.epochs,
                "origin": ORIGIN,
                "repeat": repeat,
                "searched_trial": one.trial,
            }
        )
        return self.record.state.trials[number]

    def _key(self, trial: Trial) -> str:
        """Name of a repeat's checkpoints: those of other seeds must not be continued."""
        return f"{trial.config_id}_{self.record.repeats[trial.trial]}"

    def _poll(self) -> None:
        for report in self._executor.poll(_POLL):
            self._take(report)
        for listener in self._listeners:
            listener.tick()

    def _take(self, report: Report) -> None:
        if isinstance(report, Note):
            for listener in self._listeners:
                listener.note(report.text)
        elif isinstance(report, EpochDone):
            point = {"trial": report.trial, "epoch": report.epoch, "metrics": dict(report.metrics)}
            # An epoch can be trained again, so a power cut may cost it: no wait for the disk.
            self._emit({"event": "epoch", **point}, durable=False)
        elif isinstance(report, TrialPaused):
            self._emit({"event": "paused", "trial": report.trial})
        elif isinstance(report, TrialEnded):
            trial = self.record.state.trials[report.trial]
            self._emit(
                {
                    "event": "ended",
                    "trial": report.trial,
                    "status": "crashed" if report.error is None else "success",
                    "error": report.error,
                    "metrics": dict(report.metrics),
                    "reason": report.reason,
                    "seconds": round(self._clock.used() - trial.clock_started, 3),
                }
            )

    def _wind_down(self) -> None:
        if self.record.state.running_trials():
            self._executor.pause()
        deadline = time.monotonic() + _GRACE
        while self.record.state.running_trials() and not self._hurry and time.monotonic() < deadline:
            self._poll()

    def _emit(self, event: Event, *, durable: bool = True) -> None:
        event = {"time": iso(self._clock.now()), "clock": round(self._clock.used(), 3), **event}
        self._journal.append(event, durable=durable)
        self.record.apply(event)
        for listener in self._listeners:
            listener.event(event, self.record.state)
