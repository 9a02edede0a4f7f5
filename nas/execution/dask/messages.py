"""What goes between the search and its Dask workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from nas.execution.messages import EpochDone, Facts, TrialEnded, TrialPaused, TrialSpec
    from nas.execution.settings import WorkerSettings


@dataclass(frozen=True)
class Offer:
    """What a worker must know to join a search.

    Attributes:
        settings: What to train on; ``checkpoints`` is an absolute path on the search's machine.
        token: A file on the search's machine.
        word: What stands in it. Who reads that shares the run's folder.
        folder: Where the search was started: relative paths and modules of one's own are meant from there.
        program: The search's version; a worker of another one may train something else.
    """

    settings: WorkerSettings
    token: Path
    word: str
    folder: Path
    program: str


@dataclass(frozen=True)
class Ready:
    """A worker's answer, once its data are loaded.

    Attributes:
        facts: What it says of itself and of the data.
        shared: Whether it sees the run's folder.
        gpu: Names its GPU among all machines', "" on a CPU.
    """

    facts: Facts
    shared: bool
    gpu: str = ""


@dataclass(frozen=True)
class Parcel:
    """A checkpoint, or a network's weights, on its way between machines that share no folder."""

    name: str
    data: bytes


@dataclass(frozen=True)
class Task:
    """One attempt at a trial.

    Attributes:
        spec: The trial.
        attempt: Names the attempt; what an earlier one still sends is not listened to.
        parcel: The configuration's checkpoint, None if there is none or the folder is shared.
    """

    spec: TrialSpec
    attempt: str
    parcel: Parcel | None = None


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended.

    Attributes:
        end: The trial's end.
        epochs: Every epoch of the attempt; those that were announced meanwhile are among them.
        parcel: The checkpoint it left, None if the folder is shared.
        weights: Likewise the finished network's weights; None, too, if it has none.
    """

    end: TrialEnded | TrialPaused
    epochs: tuple[EpochDone, ...]
    parcel: Parcel | None = None
    weights: Parcel | None = None


class PlaceGone(Exception):
    """The trial process was given up while a trial ran in it, for no fault of the trial."""


def difference(first: Facts | None, other: Facts) -> str:
    """What of a worker differs so that its trials could not be compared with the others'."""
    if first is None:
        return ""
    if first.data != other.data:
        return "its images are"
    if first.width != other.width:
        return f"its width {other.width} (auto: on a GPU another than on a CPU) is"
    return "its training settings are" if first.train != other.train else ""
