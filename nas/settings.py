"""Every setting of a search: the command line is made from these classes, ``search.json`` holds them."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nas.errors import UserError
from nas.optimizers.base import Fidelity
from nas.optimizers.settings import OptimizerSettings
from nas.quantities import parse_duration, parse_size, parse_timeout
from nas.training.settings import TrainSettings

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class BudgetSettings:
    """When to stop. The clock counts all sessions of a run."""

    budget: str = "72h"
    """Time the whole run may use: 72h, 90m, 1h30m, 3d."""
    trials: int | None = None
    """Stop after so many finished trials as well."""
    trial_timeout: str = "auto"
    """A longer trial counts as hanging and is ended; auto: ten times what is predicted, 2m at least."""

    def __post_init__(self) -> None:
        parse_duration(self.budget, "--budget")
        if self.trials is not None and self.trials < 1:
            raise UserError(f"--trials {self.trials}: must be at least 1")
        parse_timeout(self.trial_timeout, "--trial-timeout")

    @property
    def seconds(self) -> float:
        """The budget in seconds."""
        return parse_duration(self.budget, "--budget")

    @property
    def timeout_seconds(self) -> float | None:
        """The trial timeout in seconds, None for auto."""
        return parse_timeout(self.trial_timeout, "--trial-timeout")


@dataclass(frozen=True)
class SpaceSettings:
    """What is searched."""

    space: str = "nexception"
    """Search space; `python -m search_spaces list` names them."""
    width: str = "auto"
    """Width of the reduced network: tiny, small, paper or a number; auto: paper on a GPU, tiny on a CPU."""


@dataclass(frozen=True)
class DataSettings:
    """Images. Validation is a stratified part of the training set; the test set is never loaded."""

    dataset: str = "cifar100"
    """cifar100, cifar10, digits (embedded), npz:FILE or folder:DIR."""
    data_dir: Path = Path("data")
    """Where downloaded and resized images are kept."""
    image_size: int | None = None
    """Side to resize a folder's images to (folders: 32)."""
    max_images: int | None = None
    """Use a stratified part of so many images."""
    val_fraction: float = 0.1
    """Share of the training set that trials are judged on."""

    def __post_init__(self) -> None:
        if not 0 < self.val_fraction < 1:
            raise UserError(f"--val-fraction {self.val_fraction}: must lie between 0 and 1, for example 0.1")
        if self.image_size is not None and self.image_size < 8:
            raise UserError(f"--image-size {self.image_size}: must be at least 8")
        if self.max_images is not None and self.max_images < 2:
            raise UserError(f"--max-images {self.max_images}: must be at least 2")


@dataclass(frozen=True)
class ChoiceSettings:
    """How the next trial is chosen."""

    optimizer: Literal["smac", "hyperband", "random"] = "smac"
    """smac: model-based; hyperband: the same rungs without a model; random: full budget only."""
    warm_start: Path | None = None
    """Begin with what another run folder knows, on other images perhaps; it is copied, not changed."""
    seed: int = 0
    """Master seed: split, optimiser and every trial derive theirs from it."""

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**31:
            raise UserError(f"--seed {self.seed}: must be at least 0 and below 2^31")


@dataclass(frozen=True)
class MachineSettings:
    """Where trials run."""

    device: str = "auto"
    """auto (a GPU if there is one), cpu, cuda or cuda:N."""
    threads: int | None = None
    """CPU threads of a trial (1 up to width 32, else as many as there are cores)."""
    cuda_graphs: bool | None = None
    """Launch each step and validation batch as one CUDA graph, with the same results; unset: on a GPU."""
    reference: bool = False
    """Compute all in the plain way: no fast layers, CUDA graphs or fixed batch shapes, one trial a GPU."""
    checkpoint_quota: str = "20GB"
    """Disk for checkpoints of configurations that may be promoted."""
    workers: int | None = None
    """Trials at a time on this machine (one for each GPU), or workers to ask a --cluster for."""
    trials_per_gpu: int | Literal["auto"] = "auto"
    """Trials that share a GPU when --workers is not given; auto: as many as a measurement says pays."""
    dask_scheduler: str = "none"
    """Run trials on the workers of a Dask scheduler that runs: tcp://HOST:PORT or tls://HOST:PORT."""
    cluster: str = "none"
    """Run trials in jobs of SLURM, PBS or LSF as this YAML file says; docs/scaling.md has examples."""

    def __post_init__(self) -> None:
        refuse_unknown_device(self.device)
        if self.cuda_graphs and self.device == "cpu":
            raise UserError("--cuda-graphs: the device is cpu, which has none; leave the flag out")
        if self.cuda_graphs and self.reference:
            raise UserError("--cuda-graphs: --reference switches them off; leave one of the two out")
        parse_size(self.checkpoint_quota)
        for flag, value in (("--workers", self.workers), ("--trials-per-gpu", self.trials_per_gpu)):
            if isinstance(value, str):
                if value != "auto":
                    raise UserError(f"{flag} {value}: must be auto or a number")
            elif value is not None and value < 1:
                raise UserError(f"{flag} {value}: must be at least 1")
        if self.threads is not None and self.threads < 1:
            raise UserError(f"--threads {self.threads}: must be at least 1")

    @property
    def quota_bytes(self) -> int:
        """The checkpoint quota in bytes."""
        return parse_size(self.checkpoint_quota)


def refuse_unknown_device(name: str) -> None:
    """Refuses what no machine calls a device; whether this machine has it, only torch can tell.

    Args:
        name: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        UserError: If it is none of these.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:\d{1,4})?", name):
        raise UserError(f"--device {name}: must be auto, cpu, cuda or cuda:N")


@dataclass(frozen=True)
class SearchSettings:
    """All settings of one run."""

    budget: BudgetSettings = field(default_factory=BudgetSettings)
    fidelity: Fidelity = field(default_factory=Fidelity)
    space: SpaceSettings = field(default_factory=SpaceSettings)
    data: DataSettings = field(default_factory=DataSettings)
    choice: ChoiceSettings = field(default_factory=ChoiceSettings)
    smac: OptimizerSettings = field(default_factory=OptimizerSettings)
    train: TrainSettings = field(default_factory=TrainSettings)
    machine: MachineSettings = field(default_factory=MachineSettings)

    def to_json(self) -> dict[str, Any]:
        """The settings as nested plain values."""
        settings = asdict(self)
        settings["data"]["data_dir"] = str(self.data.data_dir)
        warm_start = self.choice.warm_start
        settings["choice"]["warm_start"] = None if warm_start is None else str(warm_start)
        return settings

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> SearchSettings:
        """Reads :meth:`to_json` back.

        Raises:
            UserError: If a key is unknown, missing or has a value out of range.
        """
        parts: dict[str, Any] = {
            "budget": BudgetSettings,
            "fidelity": Fidelity,
            "space": SpaceSettings,
            "data": DataSettings,
            "choice": ChoiceSettings,
            "smac": OptimizerSettings,
            "train": TrainSettings,
            "machine": MachineSettings,
        }
        try:
            groups = {key: dict(values[key]) for key in parts}
            groups["data"]["data_dir"] = Path(groups["data"]["data_dir"])
            if groups["choice"].get("warm_start") is not None:
                groups["choice"]["warm_start"] = Path(groups["choice"]["warm_start"])
            return cls(**{key: part(**groups[key]) for key, part in parts.items()})
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise UserError(f"search.json: settings of another version ({error})") from None


def refuse_foreign_space(stored: SearchSettings, said: str | None) -> None:
    """Refuses to run a module's code only because a run folder names it.

    Args:
        stored: Settings out of a run folder, which may be anybody's.
        said: What the user gave for ``--space``.

    Raises:
        UserError: If the run's space is a module, and the user did not name it.
    """
    name = stored.space.space
    if ":" in name and said != name:
        raise UserError(f"--space: this run's space is code of {name}; to have it run, say --space {name}")


# What a resumed run may change: when to stop and where to run, never what is measured.
CHANGEABLE = {
    ("budget", "budget"),
    ("budget", "trials"),
    ("budget", "trial_timeout"),
    ("data", "dataset"),  # another path; the images are compared
    ("data", "data_dir"),
    ("machine", "device"),
    ("machine", "cuda_graphs"),
    ("machine", "reference"),  # rounds differently, as another device does
    ("machine", "checkpoint_quota"),
    ("machine", "workers"),
    ("machine", "trials_per_gpu"),
    ("machine", "dask_scheduler"),
    ("machine", "cluster"),
}


def refuse_changes(stored: SearchSettings, wanted: SearchSettings) -> None:
    """Refuses to resume a run with settings that would make its trials incomparable.

    Raises:
        UserError: Naming the first flag that differs and may not.
    """
    old, new = stored.to_json(), wanted.to_json()
    for group, values in old.items():
        for key, value in values.items():
            if new[group][key] != value and (group, key) not in CHANGEABLE:
                flag = "--opt" if (group, key) == ("train", "optimizer") else f"--{key.replace('_', '-')}"
                raise UserError(
                    f"{flag} {new[group][key]}: this run was begun with {value}; leave the flag out, or "
                    "start a new run"
                )
