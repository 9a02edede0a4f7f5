"""Where trials run: the user's settings, and those of a trial process."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Literal

from nas.util import flag_help
from nas.util.device import refuse_unknown_device
from nas.util.errors import SettingError, setting
from nas.util.quantities import parse_size

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from nas.trial.settings import TrainSettings


@dataclass(frozen=True)
class MachineSettings:
    """Where and how trials run."""

    device: str = "auto"
    """auto (a GPU if there is one), cpu, cuda or cuda:N."""
    threads: Annotated[int | None, flag_help.default("1 up to width 32, else the number of cores")] = None
    """CPU threads per trial."""
    cuda_graphs: Annotated[bool | None, flag_help.default("on a GPU")] = None
    """Launch each training step and validation batch as one CUDA graph; the results are the same."""
    reference: flag_help.Switch = False
    """Use only PyTorch's own layers, without CUDA graphs or fixed batch shapes; one trial per GPU."""
    checkpoint_quota: str = "20GB"
    """Disk space for checkpoints of configurations that may be promoted, and the best networks' weights."""
    workers: Annotated[int | None, flag_help.default("one per GPU", name="trial-workers")] = None
    """Number of trials to run at a time on this machine, or of workers to request from --cluster."""
    trials_per_gpu: int | Literal["auto"] = "auto"
    """Trials that share a GPU if --trial-workers is not given; auto: as many as a measurement shows to be
    fastest."""
    dask_scheduler: str = "none"
    """Run trials on the workers of this running Dask scheduler: tcp://HOST:PORT or tls://HOST:PORT."""
    cluster: str = "none"
    """YAML file that describes a cluster; trials run in its SLURM, PBS or LSF jobs. docs/scaling.md has
    examples."""

    def __post_init__(self) -> None:
        refuse_unknown_device(self.device)
        if self.cuda_graphs and self.device == "cpu":
            raise SettingError("cuda_graphs", None, "the device is cpu, which has none; leave it out")
        if self.cuda_graphs and self.reference:
            raise SettingError(
                "cuda_graphs", None, f"{setting('reference')} switches them off; leave one of the two out"
            )
        parse_size(self.checkpoint_quota)
        for name, value in (("workers", self.workers), ("trials_per_gpu", self.trials_per_gpu)):
            if isinstance(value, str):
                if value != "auto":
                    raise SettingError(name, value, "must be auto or a number")
            elif value is not None and value < 1:
                raise SettingError(name, value, "must be at least 1")
        if self.threads is not None and self.threads < 1:
            raise SettingError("threads", self.threads, "must be at least 1")

    @property
    def quota_bytes(self) -> int:
        """The checkpoint quota in bytes."""
        return parse_size(self.checkpoint_quota)


@dataclass(frozen=True)
class Measured:
    """Costs that trials measure of their configurations.

    Attributes:
        costs: Their names.
        network: The network to measure: a full size of the space, or ``reduced``.
        command: The user's command that measures latency, None to measure it on the device.
    """

    costs: tuple[str, ...]
    network: str
    command: str | None = None


@dataclass(frozen=True)
class WorkerSettings:
    """What a trial process needs to know, wherever it runs.

    Attributes:
        space: Name of the search space.
        width: Width of the reduced network, or a preset's name, or ``auto``.
        dataset: Name or path of the dataset.
        data_dir: Folder of downloaded datasets.
        image_size: Height and width to resize to, pixels; None keeps the dataset's.
        max_images: Number of images in the stratified subset to use, None for all.
        val_fraction: Share of the images held out for validation.
        seed: Master seed.
        max_epochs: Highest rung; the learning-rate schedule spans it.
        train: Training settings; a field that is ``None`` takes the preset's value.
        device: auto, cpu, cuda or cuda:N.
        threads: CPU threads, None for all cores.
        checkpoints: Folder for checkpoints.
        quota_bytes: Disk space for checkpoints and weights, bytes.
        checkpoint_every: Seconds of training that may be lost when the process is killed.
        cuda_graphs: Record a trial's steps and validation batches as CUDA graphs; None does so on a GPU.
        reference: Use plain PyTorch, without faster kernels, CUDA graphs or fixed batch shapes.
        environment: Environment variables of the process besides those it inherits.
        weights: Folder for the weights of networks of the highest rung, None to keep none.
        measured: Costs to measure of every trial's network, None for none.
    """

    space: str
    width: str
    dataset: str
    data_dir: Path
    image_size: int | None
    max_images: int | None
    val_fraction: float
    seed: int
    max_epochs: int
    train: TrainSettings
    device: str
    threads: int | None
    checkpoints: Path
    quota_bytes: int
    checkpoint_every: float = 30.0
    cuda_graphs: bool | None = None
    reference: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    weights: Path | None = None
    measured: Measured | None = None

    def resolved(self) -> WorkerSettings:
        """Returns the same settings with absolute paths, for processes in other folders."""
        return replace(
            self,
            checkpoints=self.checkpoints.resolve(),
            weights=None if self.weights is None else self.weights.resolve(),
            data_dir=self.data_dir.resolve(),
        )


def named_width(name: str, presets: Mapping[str, int]) -> int | None:
    """Parses the setting ``width``.

    Args:
        name: ``auto``, the name of a preset, or a number.
        presets: The search space's named widths.

    Returns:
        The width, None for ``auto``, which depends on the device.

    Raises:
        SettingError: If it is none of these.
    """
    if name == "auto":
        return None
    if name in presets:
        return presets[name]
    try:
        return int(name)
    except ValueError:
        listed = "".join(f"{preset}, " for preset in presets)
        raise SettingError("width", name, f"must be auto, {listed}or a number") from None
