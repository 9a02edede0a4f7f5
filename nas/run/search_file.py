"""The content of ``search.json``: the search space, data, settings and hardware of a run.

A run folder may come from anywhere, so all values that this program reads are checked; others are ignored.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar

from nas.util import records
from search_spaces.base import Config

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Data(records.Document):
    """The images and their split; unknown values are None.

    Attributes:
        name: Name of the dataset.
        fingerprint: Hash of all images and labels.
        split_fingerprint: Hash of the split into training and validation.
        train_images: Number of training images.
        val_images: Number of validation images.
        image_size: Height and width, pixels.
        in_chans: Number of channels.
        class_names: Names of the classes in the order of the labels.
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
    """The hardware that trials run on; unknown values are None.

    Attributes:
        device: PyTorch's name of the device, and the model of a GPU.
        cpu: Model of the CPU.
        cores: Number of cores that the process may use.
        threads: Number of threads that PyTorch uses.
        memory_bytes: Memory of the machine, bytes.
    """

    device: str
    cpu: str | None = None
    cores: int | None = None
    threads: int | None = None
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedSpace(records.Document):
    """The search space as it was when the run began.

    Attributes:
        name: Name of the space.
        size: Number of its configurations, None for infinitely many.
        fingerprint: Hash of all its choices.
        default: The base architecture.
        source: Hash of the file of a custom space, "" for another space.
    """

    name: str
    size: float | None
    fingerprint: str
    default: Config
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits(records.Document):
    """When the search ends: after ``seconds``, or after ``trials`` trials if that is not None."""

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
    """The settings that packages below ``nas.search`` need; ``SearchSettings`` has all."""

    fidelity: Fidelity
    space: NamedSpace
    data: NamedData
    choice: Choice


@dataclass(frozen=True, slots=True, kw_only=True)
class CostObjectives(records.Document):
    """Objectives and limits besides the error.

    Attributes:
        costs: Names of the costs to minimise.
        limits: Upper limits of costs.
        prefer: Which network of the front is the incumbent, ``error`` or ``knee``.
        network: The network whose costs count: a full size of the space, or ``reduced``.
    """

    costs: list[str]
    limits: dict[str, float]
    prefer: str
    network: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchFile(records.Document):
    """The content of ``search.json``.

    Attributes:
        format: Version of the file.
        program: Version of the program in the last session.
        created: When the run began, ISO 8601.
        command: Command line of the last session, None where it is not known.
        settings: All settings, as the user gave them.
        limits: When it ends.
        rungs: Epochs of every rung, ascending.
        space: The search space.
        data: The images.
        width: Width of the reduced network, 0 for a space without widths.
        train: Resolved training settings; empty or None where nothing is trained.
        hardware: Hardware of the last session.
        versions: Versions of Python and packages.
        then: Steps that follow the search, as typed; None for none.
        objectives: Objectives and limits besides the error, None for none.
    """

    file_name: ClassVar[str] = "search.json"

    format: int
    program: str = ""
    created: str = ""
    command: list[str] | None = None
    settings: Settings
    limits: Limits
    rungs: list[int]
    space: RecordedSpace
    data: Data
    width: int
    train: dict[str, Any] | None = None
    hardware: Hardware
    versions: dict[str, str]
    then: list[str] | None = None
    objectives: CostObjectives | None = None

    @property
    def named_space(self) -> str:
        """The search space as the user named it: a file, a module's class, or a name."""
        return self.settings.space.space

    def with_images(self, dataset: str) -> SearchFile:
        """Returns the same content with the images at another place."""
        settings = replace(self.settings, data=replace(self.settings.data, dataset=dataset))
        return replace(self, settings=settings)
