"""The state of a search: a fold of its journal's events, shared by the loop, the views and analysis."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

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
    from collections.abc import Callable, Iterable

    from nas.run.events import Event
    from search_spaces.base import Config

BASELINE = "baseline"


@dataclass
class Trial:
    """One trial as far as the journal knows it.

    Attributes:
        trial: Number, counted from 1 in the order asked.
        config_id: Hash of the configuration.
        config: The configuration.
        epochs: Total number of epochs, including those of lower rungs.
        origin: What proposed it.
        status: ``asked``, ``running``, ``success`` or ``crashed``.
        error: ``1 - validation top-1`` after the last epoch; None unless it succeeded.
        metrics: Everything measured.
        reason: Why it crashed.
        cached: Whether the result is that of an earlier trial with the same configuration and epochs.
        attempts: Number of times it was started.
        started: Time of the last start, UTC in ISO 8601; "" before it.
        ended: Time of the end, UTC in ISO 8601; "" before it.
        seconds: Clock seconds from the last start to the end.
        clock_started: Search clock at the last start.
        clock_ended: Search clock at the end.
        curve: Metrics of each epoch, by epoch.
        repeat: Number of the repeat of its configuration with a fresh seed, counted from 1; 0 for the first
            training.
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
        """Name of its checkpoints and weights, which differs between seeds."""
        return seed_key(self.config_id, self.repeat)

    @property
    def finished(self) -> bool:
        """Whether it succeeded or crashed."""
        return self.status in ("success", "crashed")


def seed_key(config_id: str, repeat: int) -> str:
    """Returns the name of checkpoints and weights of a configuration's repeat, 0 for its first training."""
    return f"{config_id}_{repeat}" if repeat else config_id


@dataclass
class Rung:
    """Trials with one number of epochs.

    Attributes:
        firsts: The successful trial of each configuration, by config id, without repeats and answers from the
            record; of several the first one asked.
        repeats: Trials with further seeds, in the order asked.
        posterior: Result of :func:`nas.run.posterior.posterior`; None once any of them has changed.
    """

    firsts: dict[str, Trial] = field(default_factory=dict)
    repeats: list[Trial] = field(default_factory=list)
    posterior: Any = None  # its class is above this module

    @property
    def own(self) -> list[Trial]:
        """Returns the configurations' own trials, in the order asked."""
        return sorted(self.firsts.values(), key=lambda trial: trial.trial)

    def asked(self, repeat: Trial) -> None:
        """Adds a trial with a further seed."""
        self.repeats.append(repeat)
        self.posterior = None

    def ended(self, trial: Trial) -> None:
        """Takes in the end of a trial."""
        self.posterior = None
        if trial.error is None or trial.repeat or trial.cached:
            return
        known = self.firsts.get(trial.config_id)
        if known is None or trial.trial < known.trial:
            self.firsts[trial.config_id] = trial


@dataclass
class Epochs:
    """Epochs of training that were asked for; a configuration goes on where its rung below ended.

    Attributes:
        total: Of all.
        repeats: Of trainings with further seeds.
    """

    total: int = 0
    repeats: int = 0
    _budgets: dict[str, list[int]] = field(default_factory=dict)  # by the key of checkpoints

    def asked(self, trial: Trial) -> None:
        """Counts a trial."""
        self._change(trial, lambda budgets: budgets.append(trial.epochs))

    def answered(self, trial: Trial) -> None:
        """Takes a trial back: it was answered from the record."""
        self._change(trial, lambda budgets: budgets.remove(trial.epochs))

    def _change(self, trial: Trial, change: Callable[[list[int]], None]) -> None:
        budgets = self._budgets.setdefault(trial.key, [])
        before = max(budgets, default=0)
        change(budgets)
        new = max(budgets, default=0) - before
        self.total += new
        self.repeats += new if trial.repeat else 0


@dataclass
class SearchState:
    """The search so far.

    Attributes:
        trials: Every trial ever asked, by number.
        clock: Seconds of the time budget used.
        sessions: Start events of all sessions; the last session may still run.
        stopped: Reason of the last clean stop, "" while a session runs or after a kill.
        incumbent: Number of the best trial at the highest rung, None before the first.
        incumbents: Numbers of all incumbents, in order.
        lead: The last incumbent event, with error, seeds and interval; None before the first.
        baselines: Number of the baseline's trial by epochs, from when it is asked.
        reached: Number of epochs that each configuration was successfully trained to, by config id.
        finished: Number of trials that ran and ended, without cached results.
        crashed: Numbers of the crashed trials, in the order of their crashes.
        crashes_in_a_row: Number of crashes since the last success.
        ask_seconds: Total time of the optimiser's proposals.
        busy_seconds: Total time in which trials ran; parallel trials add up.
        train_seconds: Total time of training and validation steps.
        slots: Number of trials that can run at the same time; 1 unless an event says otherwise.
        slot_seconds: Sum of clock seconds times slots, which ``train_seconds`` is a share of.
        asked_epochs: Epochs of training that were asked for, without answers from the record.
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
    asked_epochs: Epochs = field(default_factory=Epochs)
    _answers: dict[tuple[str, int], int] = field(default_factory=dict)
    _open: dict[int, Trial] = field(default_factory=dict)
    _repeats: dict[tuple[str, int], int] = field(default_factory=dict)
    _rungs: dict[int, Rung] = field(default_factory=dict, compare=False)  # one is made on looking

    @classmethod
    def of(cls, events: Iterable[Event]) -> SearchState:
        """Folds events into a state."""
        state = cls()
        with memory.growing():
            for event in events:
                state.apply(event)
        return state

    def apply(self, event: Event) -> None:
        """Applies one event.

        Raises:
            UserError: If it does not follow from the events before it, for example because a line was
                removed.
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
        match event:  # events of later versions are ignored
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
        """Returns the incumbent's error, its number of seeds, and the interval (None without repeats)."""
        if self.lead is not None and self.lead.interval is not None:
            return self.lead.error, self.lead.seeds, self.lead.interval
        return None if self.incumbent is None else self.trials[self.incumbent].error, 1, None

    def answered(self, config_id: str, epochs: int) -> Trial | None:
        """Returns the successful trial of a configuration with this number of epochs, if there is one."""
        number = self._answers.get((config_id, epochs))
        return None if number is None else self.trials[number]

    def next_repeat(self, config_id: str, epochs: int) -> int:
        """Returns the number of a configuration's next repeat, again that of one that ended externally."""
        last = self._repeats.get((config_id, epochs))
        if last is None:
            return 1
        trial = self.trials[last]
        return trial.repeat + (trial.status != "crashed" or not from_outside(trial.reason))

    def seeds(self, config_id: str, epochs: int) -> list[str]:
        """Returns the keys of a configuration's successful trainings, in ascending order of error."""
        own = self.answered(config_id, epochs)
        found = [] if own is None else [own]
        found += [one for one in self.repeats(epochs) if one.config_id == config_id and one.error is not None]
        return [one.key for one in sorted(found, key=lambda one: one.error or 0.0)]

    def repeats(self, epochs: int) -> list[Trial]:
        """Returns the trials with further seeds with this number of epochs, in order."""
        return list(self.rung(epochs).repeats)

    def rung(self, epochs: int) -> Rung:
        """Returns the trials with this number of epochs, as a proposal needs them."""
        return self._rungs.setdefault(epochs, Rung())

    def baseline(self, epochs: int) -> Trial | None:
        """Returns the baseline's successful trial with this number of epochs, if there is one."""
        trial = self.trials.get(self.baselines.get(epochs, 0))
        return trial if trial is not None and trial.status == "success" else None

    def open_trials(self) -> list[Trial]:
        """Returns the trials that were asked and have not finished, in order."""
        return list(self._open.values())

    def running_trials(self) -> list[Trial]:
        """Returns the trials that are running."""
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
            self.rung(trial.epochs).asked(trial)
        self.trials[trial.trial] = self._open[trial.trial] = trial
        self.asked_epochs.asked(trial)
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
        self.rung(trial.epochs).ended(trial)
        if trial.cached:
            self.asked_epochs.answered(trial)
        if trial.status == "crashed":
            self.crashed.append(trial.trial)
            self.crashes_in_a_row += 1
            return
        self.crashes_in_a_row = 0
        if trial.repeat:  # does not change how far the configuration's first training has come
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
