"""Trains every chosen configuration with every seed, and journals the results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.confirm.record import Record
from nas.execution.messages import TrialSpec
from nas.run.events import RepeatAsked, Started
from nas.search.trial_runner import TrialRunner
from nas.util.seeds import derive

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nas.confirm.candidates import Candidate
    from nas.execution.protocol import Executor
    from nas.run.events import Event
    from nas.run.journal import Journal
    from nas.run.objectives import Objectives
    from nas.run.state import SearchState, Trial
    from nas.search.clock import Clock
    from nas.search.duration import DurationModel
    from nas.search.listener import Listener

ORIGIN = "confirmation"


@dataclass(frozen=True)
class Task:
    """The trainings of a confirmation.

    Attributes:
        chosen: The configurations, the most interesting first.
        seeds: Number of repeats of each.
        epochs: Number of epochs of every training.
        seed: The run's seed; each repeat derives a seed from it, the same for every configuration, so that
            differences between configurations can be taken seed by seed.
        seconds: Total time limit, seconds; None for no limit.
        timeout: Seconds after which a trial counts as hung, None to predict them.
        objectives: Objectives and limits of the search besides the error, None for none.
    """

    chosen: Sequence[Candidate]
    seeds: int
    epochs: int
    seed: int
    seconds: float | None = None
    timeout: float | None = None
    objectives: Objectives | None = None


class Confirmation(TrialRunner):
    """Trains all configurations with the first seed, then with the next, until all trainings have ended.

    So at any moment, all have about the same number of seeds. Results in the journal are not trained again,
    except crashes, which are tried once more.
    """

    def __init__(
        self,
        task: Task,
        *,
        journal: Journal,
        events: Sequence[Event],
        cost: DurationModel,
        executor: Executor,
        clock: Clock,
        listeners: Sequence[Listener] = (),
        searched: SearchState | None = None,
    ) -> None:
        """Continues a confirmation from the end of its journal; ``events`` is empty for a new one.

        Repeats that the search, ``searched``, has trained with the same seeds are not trained again.
        """
        self.record = Record.of(events, searched, task.epochs)
        super().__init__(
            state=self.record.state, journal=journal, executor=executor, clock=clock, listeners=listeners
        )
        self._task = task
        self._cost = cost
        self._due = self.record.missing(task.chosen, task.seeds)

    @property
    def left(self) -> int:
        """Number of trainings that are queued."""
        return len(self._due)

    def predict(self) -> float:
        """Predicts the time of the remaining trainings, on the safe side; 0.0 if nothing is known."""
        return sum(self._seconds(one, repeat) for one, repeat in self._due) / self._executor.slots

    def _work(self) -> None:
        while not self._stop:
            self._fill_slots()
            if not self.state.running_trials():
                self._stop = self._stop or "done"
                return
            self._poll()
            if self._task.seconds is not None and self._clock.used() >= self._task.seconds:
                self._stop = self._stop or "budget"

    def _fill_slots(self) -> None:
        while self._due and len(self.state.running_trials()) < self._executor.slots:
            one, repeat = self._due[0]
            limit = self._task.seconds
            if limit is not None and self._clock.used() + self._seconds(one, repeat) > limit:
                if not self.state.running_trials():
                    self._stop = self._stop or "budget"
                return
            self._start(*self._due.pop(0))

    def _open(self, one: Candidate, repeat: int) -> Trial | None:
        """Returns the trial of a repeat that an earlier session did not finish."""
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
            timeout = self._cost.timeout(one.config_id, one.config, self._task.epochs)
        self._emit(Started(*self._now(), trial=trial.trial))
        under_way = self.state.running_trials()
        self._executor.submit(
            TrialSpec(
                trial=trial.trial,
                config_id=trial.key,
                config=one.config,
                epochs=self._task.epochs,
                seed=derive(self._task.seed, "confirm", repeat),
                timeout=timeout,
                known_epochs=max(trial.curve, default=0),
                keep={other.key: 0.0 for other in under_way},
            )
        )

    def _ask(self, one: Candidate, repeat: int) -> Trial:
        number = len(self.state.trials) + 1
        self._emit(
            RepeatAsked(
                *self._now(),
                trial=number,
                config_id=one.config_id,
                config=one.config,
                epochs=self._task.epochs,
                origin=ORIGIN,
                repeat=repeat,
                searched_trial=one.trial,
            )
        )
        return self.state.trials[number]

    def _fold(self, event: Event) -> None:
        self.record.apply(event)
