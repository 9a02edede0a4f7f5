"""The events of a journal: one frozen dataclass for each kind of line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from nas.util import records
from search_spaces.base import Config


@dataclass(frozen=True, slots=True)
class Event(records.Record):
    """An event of a run.

    Attributes:
        time: Time of the event, UTC in ISO 8601.
        clock: Seconds of the time budget used, over all sessions.
    """

    kind: ClassVar[str] = ""
    phase: ClassVar[str] = ""

    time: str
    clock: float

    def to_json(self) -> dict[str, Any]:
        """Returns the values of the event's line, without version and checksum."""
        values = records.write(self)
        head = {"time": values.pop("time"), "clock": values.pop("clock"), "event": self.kind}
        return {**head, **({"phase": self.phase} if self.phase else {}), **values}


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStarted(Event):
    """A session began. Values that the line lacks are None or empty.

    Attributes:
        command: The command line.
        pid: Process id.
        host: Name of the machine.
        folder: ``path`` and ``inode`` of the run folder.
        program: Version of this program.
        hardware: Hardware that trials run on.
        versions: Versions of Python and packages.
        sharing: How trials share GPUs, from :meth:`nas.execution.share.GpuSharing.facts`.
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
        top: Number of configurations to confirm.
        seeds: Number of seeds of each.
        budget_seconds: Time limit for all of them, seconds; None without one.
    """

    top: int
    seeds: int
    budget_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStopped(Event):
    """A session ended cleanly.

    Attributes:
        reason: Why, in one word.
        message: Message of the error, if it ended by one.
    """

    kind: ClassVar[str] = "session"
    phase: ClassVar[str] = "stop"

    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked(Event):
    """A trial was proposed.

    Attributes:
        trial: Number of the trial, counted from 1.
        config_id: Hash of the configuration.
        config: The configuration.
        epochs: Total number of epochs, including those of lower rungs.
        origin: What proposed it.
        ask_seconds: Time that the proposal took, None where it is not known.
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
        repeat: Number of the repeat, counted from 1.
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
    """A trial stopped with a checkpoint, to be continued."""

    kind: ClassVar[str] = "paused"

    trial: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended(Event):
    """A trial ended.

    Attributes:
        trial: Number of the trial.
        status: ``success`` or ``crashed``.
        error: ``1 - validation top-1``, None unless it succeeded.
        metrics: Everything measured.
        reason: Why it crashed, "" if it did not.
        seconds: Clock seconds since its last start.
        cached: Whether the result was taken from an earlier trial.
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
        trial: The configuration's first trial.
        error: Its error; once there are repeats, the expected error over all seeds. This program never writes
            None.
        seeds: Number of seeds it was trained with.
        low: Lower end of the 95 % interval of its error over all seeds, None before there are repeats.
        high: Upper end of that interval, None before there are repeats.
    """

    kind: ClassVar[str] = "incumbent"

    trial: int
    error: float | None
    seeds: int = 1
    low: float | None = None
    high: float | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Both ends of the interval, None before there are repeats."""
        return None if self.low is None or self.high is None else (self.low, self.high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slots(Event):
    """The number of trials that can run at a time from now on."""

    kind: ClassVar[str] = "slots"

    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown(Event):
    """An event of a later version; its values are in ``extra``."""

    event: str

    def to_json(self) -> dict[str, Any]:
        """Returns the values as they were read."""
        return records.write(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Salvaged(records.Record):
    """A trial's result from after the cut of a journal, complete in one line.

    Attributes:
        event: Always ``salvaged``.
        config_id: Hash of the configuration, with the number of the repeat if it is one (``Trial.key``).
        epochs: Total number of epochs, including those of lower rungs.
        error: See :class:`Ended`.
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
        """Builds a result from a line's values.

        Raises:
            ValueError: If they are not a result.
        """
        if values.get("event") != cls.kind:
            raise ValueError(f"event {values.get('event')!r}")
        return records.read(cls, values)


_KINDS = {one.kind: one for one in (Asked, Started, Epoch, Paused, Ended, NewIncumbent, Slots)}


def parse(values: dict[str, Any]) -> Event:
    """Builds an event from a line's values without version and checksum.

    Raises:
        ValueError: If a key is missing or has the wrong type; it names the key.
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
