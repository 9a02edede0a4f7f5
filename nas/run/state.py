"""What a journal amounts to: a fold of its events, shared by the loop, the views and analysis."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nas.run.causes import from_outside
from nas.run.events import (
    Asked,
    Ended,
    Epoch,
    NewIncumbent,
    Paused,
    RepeatAsked,
    SessionStarted,
    SessionStopped,
    Slots,
    Started,
)
from nas.util import memory
from nas.util.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nas.run.events import Event
    from search_spaces.base import Config

BASELINE = "baseline"


@dataclass
class Trial:
    """One trial as far as the journal knows it.

    Attributes:
        trial: Number, from 1 in the order asked.
        config_id: Hash of the configuration.
        config: The configuration.
        epochs: Budget in epochs, earlier rungs of the same configuration included.
        origin: Who proposed it.
        status: ``asked``, ``running``, ``success`` or ``crashed``.
        error: ``1 - validation top-1`` at the budget's end; None unless it succeeded.
        metrics: Everything measured.
        reason: Why it crashed.
        cached: Answered from an earlier trial of the same configuration and budget.
        attempts: How often it was started.
        started: UTC of the last start in ISO 8601, "" before it.
        ended: UTC of the end in ISO 8601, "" before it.
        seconds: Clock seconds from the last start to the end.
        clock_started: Search clock at the last start.
        clock_ended: Search clock at the end.
        curve: One dict of metrics an epoch, by epoch.
        repeat: Which further training of its configuration with a fresh seed it is, from 1; 0: the first one.
    """

    trial: int
    config_id: str
    config: Config
    epochs: int
    origin: str
    status: str = "asked"
    error: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    cached: bool = False
    attempts: int = 0
    started: str = ""
    ended: str = ""
    seconds: float = 0.0
    clock_started: float = 0.0
    clock_ended: float = 0.0
    curve: dict[int, dict[str, float]] = field(default_factory=dict)
    repeat: int = 0

    @property
    def key(self) -> str:
        """Name of its checkpoints and weights: those of other seeds must not be continued."""
        return seed_key(self.config_id, self.repeat)

    @property
    def finished(self) -> bool:
        """Whether it succeeded or crashed."""
        return self.status in ("success", "crashed")


def seed_key(config_id: str, repeat: int) -> str:
    """Name of the checkpoints and weights of a configuration's repeat; repeat 0 is its first training."""
    return f"{config_id}_{repeat}" if repeat else config_id


@dataclass
class SearchState:
    """The search so far.

    Attributes:
        trials: Every trial ever asked, by number.
        clock: Seconds of the budget used.
        sessions: ``session`` start events; the last one may still run.
        stopped: Reason of the last clean stop, "" while a session runs or after a kill.
        incumbent: Number of the best trial at the highest rung, None before the first.
        incumbents: Numbers of all incumbents, in order.
        lead: What was said last of the incumbent: its error, seeds and interval; None before the first.
        baselines: Number of the baseline's trial, by epochs, as soon as it is asked.
        reached: Epochs each configuration was successfully trained to, by config id.
        finished: Trials that ran and finished; answers from the record left out.
        crashed: Numbers of the trials that crashed, in the order they did.
        crashes_in_a_row: Crashes since the last success.
        ask_seconds: Seconds the optimiser took to propose, in all.
        busy_seconds: Clock seconds in which a trial ran, in all (trials in parallel add up).
        train_seconds: Seconds trials spent in training and validation steps, in all.
        slots: Trials that can run at the same time; 1 unless an event says otherwise.
        slot_seconds: Clock seconds times slots, in all: what ``train_seconds`` is a share of.
    """

    trials: dict[int, Trial] = field(default_factory=dict)
    clock: float = 0.0
    sessions: list[SessionStarted] = field(default_factory=list)
    stopped: str = ""
    incumbent: int | None = None
    incumbents: list[int] = field(default_factory=list)
    lead: NewIncumbent | None = None
    baselines: dict[int, int] = field(default_factory=dict)
    reached: dict[str, int] = field(default_factory=dict)
    finished: int = 0
    crashed: list[int] = field(default_factory=list)
    crashes_in_a_row: int = 0
    ask_seconds: float = 0.0
    busy_seconds: float = 0.0
    train_seconds: float = 0.0
    slots: int = 1
    slot_seconds: float = 0.0
    _answers: dict[tuple[str, int], int] = field(default_factory=dict)
    _open: dict[int, Trial] = field(default_factory=dict)
    _repeats: dict[tuple[str, int], int] = field(default_factory=dict)
    _further: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, events: Iterable[Event]) -> SearchState:
        """Folds events into a state."""
        state = cls()
        with memory.growing():
            for event in events:
                state.apply(event)
        return state

    def apply(self, event: Event) -> None:
        """Takes one more event into account.

        Raises:
            UserError: If it does not follow from the events before, as when a line was taken out.
        """
        self.slot_seconds += (event.clock - self.clock) * self.slots
        self.clock = event.clock
        try:
            self._take(event)
        except KeyError as error:
            raise UserError(
                f"trials.jsonl: event {event.kind!r} (clock {event.clock:g}) does not follow "
                f"from the lines before it ({error!r}); restore the file, or use python -m nas.repair"
            ) from None

    def _take(self, event: Event) -> None:
        match event:  # an event that a later version adds does not concern this fold
            case Epoch():
                self._on_epoch(event)
            case Ended():
                self._on_ended(event)
            case Asked():
                self._on_asked(event)
            case Started():
                self._on_started(event)
            case Paused():
                self.trials[event.trial].status = "asked"
            case NewIncumbent():
                self._on_incumbent(event)
            case Slots():
                self.slots = event.count
            case SessionStarted() | SessionStopped():
                self._on_session(event)

    @property
    def estimate(self) -> tuple[float | None, int, tuple[float, float] | None]:
        """The incumbent's error, its seeds and the error's interval, None before there are further seeds."""
        if self.lead is not None and self.lead.interval is not None:
            return self.lead.error, self.lead.seeds, self.lead.interval
        return None if self.incumbent is None else self.trials[self.incumbent].error, 1, None

    def answered(self, config_id: str, epochs: int) -> Trial | None:
        """The successful trial of a configuration at a budget, if there is one."""
        number = self._answers.get((config_id, epochs))
        return None if number is None else self.trials[number]

    def next_repeat(self, config_id: str, epochs: int) -> int:
        """Number of a configuration's next repeat at a budget; what something outside ended is due again."""
        last = self._repeats.get((config_id, epochs))
        if last is None:
            return 1
        trial = self.trials[last]
        return trial.repeat + (trial.status != "crashed" or not from_outside(trial.reason))

    def seeds(self, config_id: str, epochs: int) -> list[str]:
        """Keys of a configuration's successful trainings at a budget, the least error first."""
        own = self.answered(config_id, epochs)
        found = [] if own is None else [own]
        found += [one for one in self.repeats(epochs) if one.config_id == config_id and one.error is not None]
        return [one.key for one in sorted(found, key=lambda one: one.error or 0.0)]

    def repeats(self, epochs: int) -> list[Trial]:
        """Trainings with further seeds at a budget, in order."""
        return [self.trials[number] for number in self._further if self.trials[number].epochs == epochs]

    def baseline(self, epochs: int) -> Trial | None:
        """The baseline's successful trial at a budget, if there is one."""
        trial = self.trials.get(self.baselines.get(epochs, 0))
        return trial if trial is not None and trial.status == "success" else None

    def open_trials(self) -> list[Trial]:
        """Trials asked but not finished, in order."""
        return list(self._open.values())

    def running_trials(self) -> list[Trial]:
        """Trials that run now."""
        return [trial for trial in self._open.values() if trial.status == "running"]

    def _on_session(self, event: SessionStarted | SessionStopped) -> None:
        if isinstance(event, SessionStarted):
            self.sessions.append(event)
            self.stopped = ""
            self.slots = 1
        else:
            self.stopped = event.reason
        for trial in self.running_trials():
            trial.status = "asked"

    def _on_asked(self, event: Asked) -> None:
        self.ask_seconds += event.ask_seconds or 0.0
        trial = Trial(event.trial, event.config_id, event.config, event.epochs, event.origin)
        if isinstance(event, RepeatAsked):
            trial.repeat = event.repeat
            self._repeats[trial.config_id, trial.epochs] = trial.trial
            self._further.append(trial.trial)
        self.trials[trial.trial] = self._open[trial.trial] = trial
        if trial.origin == BASELINE:
            self.baselines[trial.epochs] = trial.trial

    def _on_started(self, event: Started) -> None:
        trial = self.trials[event.trial]
        trial.status = "running"
        trial.attempts += 1
        trial.started = event.time
        trial.clock_started = event.clock

    def _on_epoch(self, event: Epoch) -> None:
        metrics = event.metrics
        self.trials[event.trial].curve[event.epoch] = metrics
        self.train_seconds += metrics.get("train_seconds", 0.0) + metrics.get("val_seconds", 0.0)

    def _on_ended(self, event: Ended) -> None:
        trial = self.trials[event.trial]
        trial.status = event.status
        trial.error = event.error
        trial.metrics = event.metrics
        trial.reason = event.reason
        trial.cached = event.cached
        trial.ended = event.time
        trial.seconds = event.seconds
        trial.clock_ended = event.clock
        self.busy_seconds += trial.seconds
        self.finished += not trial.cached
        del self._open[trial.trial]
        if trial.status == "crashed":
            self.crashed.append(trial.trial)
            self.crashes_in_a_row += 1
            return
        self.crashes_in_a_row = 0
        if trial.repeat:  # says nothing of what its configuration's own training has reached
            return
        self._answers.setdefault((trial.config_id, trial.epochs), trial.trial)
        self.reached[trial.config_id] = max(self.reached.get(trial.config_id, 0), trial.epochs)

    def _on_incumbent(self, event: NewIncumbent) -> None:
        if self.trials[event.trial].error is None:
            raise KeyError("error")
        self.lead = event
        self.incumbent = event.trial
        if self.incumbents[-1:] != [event.trial]:
            self.incumbents.append(event.trial)
