"""What ``search.json`` holds: what is searched, on which data, by which settings and where.

A run folder may come from anywhere, so all that this program reads is checked; the rest is let through.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from nas.util import records
from search_spaces.base import Config

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Data(records.Document):
    """The images and their split. What is not known of them is None.

    Attributes:
        name: What they are called.
        fingerprint: Of all images and labels.
        split_fingerprint: Of which of them are for validation.
        train_images: Number to train on.
        val_images: Number to validate on.
        image_size: Pixels.
        in_chans: Channels.
        class_names: In the order of the labels.
    """

    name: str
    fingerprint: str | None = None
    split_fingerprint: str | None = None
    train_images: int | None = None
    val_images: int | None = None
    image_size: int | None = None
    in_chans: int | None = None
    class_names: list[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware(records.Document):
    """What trials run on. What is not known of it is None.

    Attributes:
        device: As PyTorch calls it, and a GPU's model.
        cpu: Its model.
        cores: That this process may use.
        threads: That PyTorch uses.
        memory_bytes: Of the machine.
    """

    device: str
    cpu: str | None = None
    cores: int | None = None
    threads: int | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched(records.Document):
    """The search space as it was when the run began.

    Attributes:
        name: Its own name.
        size: Number of its configurations, None for infinitely many.
        fingerprint: Of all that it offers.
        default: The base architecture.
        source: Digest of a user's own file, "" for another space.
    """

    name: str
    size: float | None
    fingerprint: str
    default: Config
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits(records.Document):
    """When the search ends: after ``seconds``, or ``trials`` if that is not None."""

    seconds: float
    trials: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice(records.Document):
    """How trials are chosen: the optimiser's name and the run's seed."""

    optimizer: str
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedSpace(records.Document):
    """The search space as the user named it."""

    space: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedData(records.Document):
    """The images as the user named them."""

    dataset: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fidelity(records.Document):
    """The rungs: each has ``eta`` times the epochs of the one below."""

    eta: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(records.Document):
    """What rooms below the search need of its settings, of which ``SearchSettings`` has all."""

    fidelity: Fidelity
    space: NamedSpace
    data: NamedData
    choice: Choice


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighed(records.Document):
    """What is weighed beside the error.

    Attributes:
        costs: What is minimised.
        limits: The most that costs may be.
        prefer: Which network of the front is the incumbent, ``error`` or ``knee``.
        network: Whose costs count: a full size of the space, or ``reduced``.
    """

    costs: list[str]
    limits: dict[str, float]
    prefer: str
    network: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchFile(records.Document):
    """What ``search.json`` holds.

    Attributes:
        format: Version of the file.
        program: Version of the program that searched last.
        created: When the run began, ISO 8601.
        command: What was typed last, None where it is not known.
        settings: All settings, as the user gave them.
        limits: When it ends.
        rungs: Epochs of every rung, ascending.
        space: The search space.
        data: The images.
        width: Of the reduced network, 0 for a space without widths.
        train: What trials are trained by, nothing left open; empty, or None, where nothing is trained.
        hardware: What trials ran on last.
        versions: Of Python and packages.
        then: What follows the search, as typed; None for nothing.
        objectives: What is weighed beside the error, None for nothing.
    """

    format: int
    program: str = ""
    created: str = ""
    command: list[str] | None = None
    settings: Settings
    limits: Limits
    rungs: list[int]
    space: Searched
    data: Data
    width: int
    train: dict[str, Any] | None = None
    hardware: Hardware
    versions: dict[str, str]
    then: list[str] | None = None
    objectives: Weighed | None = None

    @property
    def named_space(self) -> str:
        """The search space as the user named it: a file, a module's class, or a name."""
        return self.settings.space.space

    def with_images(self, dataset: str) -> SearchFile:
        """The same with the images at another place."""
        settings = replace(self.settings, data=replace(self.settings.data, dataset=dataset))
        return replace(self, settings=settings)
