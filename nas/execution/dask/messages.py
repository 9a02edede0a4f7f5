"""Messages between the search and its Dask workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from nas.execution.messages import EpochDone, Facts, TrialEnded, TrialPaused, TrialSpec
    from nas.execution.settings import WorkerSettings


@dataclass(frozen=True)
class WorkerSetup:
    """What a worker must know to join a search.

    Attributes:
        settings: Settings of the trial process; ``checkpoints`` is an absolute path on the search's machine.
        token_file: A file on the search's machine.
        token: Its content. A worker that can read it shares the run's folder.
        folder: Where the search was started; relative paths and the user's modules are resolved from there.
        program: The search's version; a worker of another version may train something else.
    """

    settings: WorkerSettings
    token_file: Path
    token: str
    folder: Path
    program: str


@dataclass(frozen=True)
class Ready:
    """A worker's answer, once its data are loaded.

    Attributes:
        facts: What it reports about itself and the data.
        shared: Whether it sees the run's folder.
        gpu: Name of its GPU, unique among all machines; "" on a CPU.
    """

    facts: Facts
    shared: bool
    gpu: str = ""


@dataclass(frozen=True)
class SentFile:
    """A checkpoint or a network's weights, sent between machines that share no folder."""

    name: str
    data: bytes


@dataclass(frozen=True)
class Task:
    """One attempt at a trial.

    Attributes:
        spec: The trial.
        attempt: Identifies the attempt; late messages of an earlier attempt are ignored.
        checkpoint: The configuration's checkpoint, None if there is none or the folder is shared.
    """

    spec: TrialSpec
    attempt: str
    checkpoint: SentFile | None = None


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended.

    Attributes:
        end: The trial's end.
        epochs: Every epoch of the attempt, including those announced while it ran.
        checkpoint: The checkpoint it left, None if the folder is shared.
        weights: The finished network's weights; None if there are none or the folder is shared.
    """

    end: TrialEnded | TrialPaused
    epochs: tuple[EpochDone, ...]
    checkpoint: SentFile | None = None
    weights: SentFile | None = None


class TrialAbandoned(Exception):
    """The trial process was abandoned while a trial ran in it, through no fault of the trial."""


def difference(first: Facts | None, other: Facts) -> str:
    """Says in words what makes a worker's trials incomparable with the others; "" if nothing does."""
    if first is None:
        return ""
    if first.data != other.data:
        return "its images are"
    if first.width != other.width:
        return f"its width {other.width} (auto: on a GPU another than on a CPU) is"
    return "its training settings are" if first.train != other.train else ""
