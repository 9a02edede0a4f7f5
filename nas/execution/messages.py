"""Messages between the search's loop and the places where trials run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nas.run.search_file import Data, Hardware
    from search_spaces.base import Config


PAUSE = "pause"


READY, GO = "ready", "go"


@dataclass(frozen=True)
class Measure:
    """Asks for timed steps of a configuration, or of ``cheapest`` or ``dearest``."""

    config: Config | str


@dataclass(frozen=True)
class Pace:
    """Asks for the speed of a configuration, measured at the same time as in other processes.

    The process gets ready, says :data:`READY`, and begins when it is told :data:`GO`.
    """

    config: Config | str
    seconds: float


@dataclass(frozen=True)
class Coming:
    """Announces the trial that this process will probably run next, so that it can prepare."""

    spec: TrialSpec


MEMORY, DEVICE = "memory", "device"  # faults that a neighbour may have caused


@dataclass(frozen=True)
class TrialSpec:
    """A trial to run.

    Attributes:
        trial: Its number in the journal.
        config_id: Hash of the configuration.
        config: The configuration.
        epochs: Train up to so many epochs in all; a checkpoint of the configuration is continued.
        seed: Seed of the training, the same for every trial of a configuration.
        known_epochs: Epochs of this configuration's curve that the journal has already.
        timeout: Seconds after which the trial counts as hanging.
        keep: Config ids whose checkpoints are still worth keeping, with their errors so far. Empty:
            whoever sent the trial drops checkpoints itself, as several trials at a time must not.
        alone: Nothing else uses the device's memory. If something may, a trial that runs out of it is
            reported at once: in smaller micro-batches it would be another training.
        costs: What earlier trials of the configuration measured, as their figures have it.
    """

    trial: int
    config_id: str
    config: Config
    epochs: int
    seed: int
    timeout: float
    known_epochs: int = 0
    keep: Mapping[str, float] = field(default_factory=dict)
    alone: bool = True
    costs: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """What the place where trials run reports about itself and the data once it is ready.

    Attributes:
        data: Name, fingerprint, counts and classes of the data and its split.
        hardware: Device, CPU, memory.
        versions: Versions of the libraries that train.
        width: Width of the reduced network after ``auto`` and presets.
        train: The training settings after ``None`` was resolved.
        notes: What the user should know of the data, a line each.
    """

    data: Data
    hardware: Hardware
    versions: dict[str, str]
    width: int
    train: dict[str, Any]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class EpochDone:
    """One epoch of a running trial; the learning curve's point.

    Attributes:
        trial: The trial.
        epoch: Epochs trained in all, this one included.
        metrics: train_loss, val_loss, top1, top5, lr, train_seconds, val_seconds.
    """

    trial: int
    epoch: int
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class TrialEnded:
    """A trial that succeeded (``error`` is a number) or crashed (``reason`` says why).

    Attributes:
        trial: The trial.
        error: ``1 - validation top-1``, None for a crash.
        metrics: loss, top1, top5, train_seconds, peak_memory (bytes), params, macs, from_epoch.
        reason: Why it crashed, one line.
        fault: What others on the device may have done to it: :data:`MEMORY` ran out, or the
            :data:`DEVICE` failed, which leaves its process of no use. Empty: its own fault, or none.
    """

    trial: int
    error: float | None
    metrics: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    fault: str = ""


@dataclass(frozen=True)
class TrialPaused:
    """A trial that stopped on request at the end of an epoch, with a checkpoint."""

    trial: int


@dataclass(frozen=True)
class Note:
    """Something worth a line in the log: a retry, a checkpoint that could not be written."""

    text: str


@dataclass(frozen=True)
class Halted:
    """Additional seconds for which a signal paused the trial's process while the search ran."""

    trial: int
    seconds: float


Report = EpochDone | TrialEnded | TrialPaused | Note | Halted


@dataclass(frozen=True)
class Measurement:
    """Timed steps of one configuration, for the plan.

    Attributes:
        train_seconds: One epoch of training.
        val_seconds: One validation.
        build_seconds: Building the network and counting it.
        checkpoint_bytes: Size of one checkpoint.
    """

    train_seconds: float
    val_seconds: float
    build_seconds: float
    checkpoint_bytes: int


@dataclass(frozen=True)
class Paced:
    """The speed of a configuration within a window of time, and what its process takes.

    Attributes:
        epoch_seconds: One epoch of training.
        gpu_peak: PyTorch's peak on the GPU, bytes.
        gpu_free: Free bytes of the GPU, PyTorch's own reserve in this process included.
        resident: The process's resident memory, bytes.
    """

    epoch_seconds: float
    gpu_peak: int
    gpu_free: int
    resident: int
