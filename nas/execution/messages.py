"""Messages between the search's loop and the processes that run trials."""

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
    """Asks for timed steps of a configuration, or of ``cheapest`` or ``costliest``."""

    config: Config | str


@dataclass(frozen=True)
class MeasureCosts:
    """Asks for the costs of a configuration that trials measure, without training it."""

    config: Config


@dataclass(frozen=True)
class MeasureSpeed:
    """Asks for the speed of a configuration, measured at the same time as in other processes.

    The process gets ready, sends :data:`READY`, and begins when it receives :data:`GO`.
    """

    config: Config | str
    seconds: float


@dataclass(frozen=True)
class NextTrial:
    """Announces the trial that this process will probably run next, so that it can prepare."""

    spec: TrialSpec


MEMORY, DEVICE = "memory", "device"  # faults that another trial on the device may have caused


@dataclass(frozen=True)
class TrialSpec:
    """A trial to run.

    Attributes:
        trial: Its number in the journal.
        config_id: Hash of the configuration.
        config: The configuration.
        epochs: Total number of epochs to train to; a checkpoint of the configuration is continued.
        seed: Seed of the training; trials of a configuration share it unless it is trained again.
        known_epochs: Number of epochs of this configuration's curve that the journal already has.
        timeout: Seconds after which the trial counts as hung.
        keep: Ids of the configurations whose checkpoints are worth keeping, with their errors so far. Empty
            where the sender deletes checkpoints itself, since concurrent trials must not.
        alone: Whether nothing else uses the device's memory. If something may, a trial that runs out of
            memory is reported at once instead of trying smaller micro-batches, which change the training.
        costs: Costs that earlier trials of the configuration measured, by the name of their metric.
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
    """What a trial process reports about itself and the data once it is ready.

    Attributes:
        data: Name, fingerprint, counts and classes of the data and its split.
        hardware: Device, CPU, memory.
        versions: Versions of the libraries that train.
        width: Width of the reduced network after ``auto`` and presets.
        train: The training settings, with every ``None`` resolved.
        notes: What the user should know about the data, one line each.
    """

    data: Data
    hardware: Hardware
    versions: dict[str, str]
    width: int
    train: dict[str, Any]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class EpochDone:
    """One epoch of a running trial: a point of its learning curve.

    Attributes:
        trial: The trial.
        epoch: Number of epochs trained so far, including this one.
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
        fault: :data:`MEMORY` if memory ran out, :data:`DEVICE` if the device failed and its process is
            unusable; other trials on the device may have caused either. Empty otherwise.
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
    """Further seconds for which a signal stopped the trial's process while the search ran."""

    trial: int
    seconds: float


Report = EpochDone | TrialEnded | TrialPaused | Note | Halted


@dataclass(frozen=True)
class Measurement:
    """Timed steps of one configuration, for the plan.

    Attributes:
        train_seconds: Time of one epoch of training.
        val_seconds: Time of one validation.
        build_seconds: Time to build the network and count its parameters and multiply-accumulates.
        checkpoint_bytes: Size of one checkpoint.
    """

    train_seconds: float
    val_seconds: float
    build_seconds: float
    checkpoint_bytes: int


@dataclass(frozen=True)
class Speed:
    """The speed of a configuration within a window of time, and the memory its process takes.

    Attributes:
        epoch_seconds: Time of one epoch of training.
        gpu_peak: PyTorch's peak memory on the GPU, bytes.
        gpu_free: Free memory of the GPU, including what PyTorch has reserved in this process, bytes.
        resident: The process's resident memory, bytes.
    """

    epoch_seconds: float
    gpu_peak: int
    gpu_free: int
    resident: int
