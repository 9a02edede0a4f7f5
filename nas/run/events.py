"""What a journal tells: one frozen dataclass for each kind of line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from nas.util import records
from search_spaces.base import Config


@dataclass(frozen=True, slots=True)
class Event(records.Record):
    """Something that happened in a run.

    Attributes:
        time: UTC, in ISO 8601.
        clock: Seconds of the budget used, over all sessions.
    """

    kind: ClassVar[str] = ""
    phase: ClassVar[str] = ""

    time: str
    clock: float

    def to_json(self) -> dict[str, Any]:
        """The event as its line holds it, but for version and checksum."""
        values = records.write(self)
        head = {"time": values.pop("time"), "clock": values.pop("clock"), "event": self.kind}
        return {**head, **({"phase": self.phase} if self.phase else {}), **values}


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStarted(Event):
    """A session began. What the line does not say is None or empty.

    Attributes:
        command: What was typed.
        pid: Its process.
        host: Its machine.
        folder: The run folder's ``path`` and ``inode``.
        program: The program's version.
        hardware: What trials run on.
        versions: Of Python and packages.
        sharing: How trials share GPUs, as :meth:`nas.execution.share.Shared.facts` says it.
    """

    kind: ClassVar[str] = "session"
    phase: ClassVar[str] = "start"

    command: list[str] | None = None
    pid: int | None = None
    host: str = ""
    folder: dict[str, Any] | None = None
    program: str = ""
    hardware: dict[str, Any] | None = None
    versions: dict[str, Any] | None = None
    sharing: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmationStarted(SessionStarted):
    """A session of ``nas.confirm``.

    Attributes:
        top: Configurations to confirm.
        seeds: Seeds of each.
        budget_seconds: Time for all, None without a limit.
    """

    top: int
    seeds: int
    budget_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStopped(Event):
    """A session ended in order.

    Attributes:
        reason: Why, in a word.
        message: What an error said.
    """

    kind: ClassVar[str] = "session"
    phase: ClassVar[str] = "stop"

    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked(Event):
    """A trial was proposed.

    Attributes:
        trial: Its number, from 1.
        config_id: Hash of the configuration.
        config: The configuration.
        epochs: Budget, earlier rungs included.
        origin: Who proposed it.
        ask_seconds: What the proposal took, None where it is not known.
    """

    kind: ClassVar[str] = "asked"

    trial: int
    config_id: str
    config: Config
    epochs: int
    origin: str
    ask_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatAsked(Asked):
    """A configuration is trained again with a fresh seed.

    Attributes:
        repeat: Which of its repeats this is, from 1.
        searched_trial: Its trial in the search, None for a baseline without one.
    """

    repeat: int
    searched_trial: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(Event):
    """A trial began to run, for the first time or again."""

    kind: ClassVar[str] = "started"

    trial: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch(Event):
    """A trial ended an epoch, counted from 1, with these metrics."""

    kind: ClassVar[str] = "epoch"

    trial: int
    epoch: int
    metrics: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused(Event):
    """A trial stopped with a checkpoint, to be taken up again."""

    kind: ClassVar[str] = "paused"

    trial: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended(Event):
    """A trial ended.

    Attributes:
        trial: Its number.
        status: ``success`` or ``crashed``.
        error: ``1 - validation top-1``, None unless it succeeded.
        metrics: Everything measured.
        reason: Why it crashed, "" if it did not.
        seconds: Clock seconds since its last start.
        cached: Whether it was answered from the record.
    """

    kind: ClassVar[str] = "ended"

    trial: int
    status: str
    error: float | None
    metrics: dict[str, float]
    reason: str
    seconds: float
    cached: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NewIncumbent(Event):
    """A trial's configuration took the lead, or what is known of it has changed.

    Attributes:
        trial: The configuration's own training.
        error: Its error; once there are repeats, what is expected over all seeds. Never None as written here.
        seeds: With how many it was trained.
        low: Where its error over all seeds lies with a probability of 95 %: from here, None before there are
            repeats ...
        high: ... to here, None likewise.
    """

    kind: ClassVar[str] = "incumbent"

    trial: int
    error: float | None
    seeds: int = 1
    low: float | None = None
    high: float | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both ends, None before there are repeats."""
        return None if self.low is None or self.high is None else (self.low, self.high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots(Event):
    """How many trials can run at a time from now on."""

    kind: ClassVar[str] = "slots"

    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown(Event):
    """An event that a later version adds; what it holds is ``extra``."""

    event: str

    def to_json(self) -> dict[str, Any]:
        """The event as it was read."""
        return records.write(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Salvaged(records.Record):
    """A trial's result from behind a place where a journal was cut: a line that needs no other.

    Attributes:
        event: Always ``salvaged``.
        config_id: Hash of the configuration; with its repeat's number if it is one (``Trial.key``).
        epochs: Budget, earlier rungs included.
        error: As of :class:`Ended`, like the next two.
        metrics: Everything measured.
        reason: Why it crashed.
        curve: Pairs of an epoch and its metrics.
    """

    kind: ClassVar[str] = "salvaged"

    event: str
    config_id: str
    epochs: int
    error: float | None
    metrics: dict[str, float]
    reason: str
    curve: list[Any]

    @classmethod
    def parse(cls, values: dict[str, Any]) -> Salvaged:
        """Makes a result of a line's values.

        Raises:
            ValueError: If it is no result.
        """
        if values.get("event") != cls.kind:
            raise ValueError(f"event {values.get('event')!r}")
        return records.read(cls, values)


_KINDS = {one.kind: one for one in (Asked, Started, Epoch, Paused, Ended, NewIncumbent, Slots)}


def parse(values: dict[str, Any]) -> Event:
    """Makes an event of a line's values, version and checksum taken off.

    Raises:
        ValueError: Naming the key that is missing or of a wrong kind.
    """
    kind = values.get("event")
    if not isinstance(kind, str):
        raise ValueError("event: missing")
    shape: type[Event] = _KINDS.get(kind, Unknown)
    if shape is Unknown and kind != "session":
        return records.read(Unknown, values)
    del values["event"]
    if kind == "session":
        shape = _session(values)
    elif shape is Asked and "repeat" in values:
        shape = RepeatAsked
    return records.read(shape, values)


def _session(values: dict[str, Any]) -> type[Event]:
    phase = values.pop("phase", None)
    if phase == SessionStarted.phase:
        return ConfirmationStarted if "seeds" in values else SessionStarted
    if phase != SessionStopped.phase:
        raise ValueError("phase: must be start or stop")
    return SessionStopped
