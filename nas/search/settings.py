"""All settings of a search; the command line is generated from them, and ``search.json`` stores them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from nas.costs.settings import CostSettings
from nas.execution.settings import MachineSettings
from nas.optimizers.protocol import Fidelity
from nas.optimizers.settings import OptimizerSettings
from nas.run import learnt_rungs, search_file
from nas.trial.settings import TrainSettings
from nas.util import flag_help, records
from nas.util.errors import SettingError, UserError, setting
from nas.util.quantities import parse_duration, parse_timeout
from search_spaces import registry
from search_spaces.loading import is_code, resolved

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class BudgetSettings:
    """When to stop. Time counts over all sessions of a run."""

    budget: str = "72h"
    """Time budget of the whole run, such as 72h, 90m, 1h30m or 3d."""
    trials: Annotated[int | None, flag_help.default("no limit")] = None
    """Also stop after this many finished trials."""
    trial_timeout: str = "auto"
    """Longer trials are considered hung and stopped; auto: ten times the prediction, at least 2m."""

    def __post_init__(self) -> None:
        parse_duration(self.budget, "budget")
        if self.trials is not None and self.trials < 1:
            raise SettingError("trials", self.trials, "must be at least 1")
        parse_timeout(self.trial_timeout, "trial_timeout")

    @property
    def seconds(self) -> float:
        """The budget in seconds."""
        return parse_duration(self.budget, "budget")

    @property
    def timeout_seconds(self) -> float | None:
        """The trial timeout in seconds, None for auto."""
        return parse_timeout(self.trial_timeout, "trial_timeout")


@dataclass(frozen=True)
class SpaceSettings:
    """The search space."""

    space: str = registry.DEFAULT
    """Search space: a name that `python -m search_spaces list` prints, path/to/file.py or module:Class."""
    width: str = "auto"
    """Width of the reduced network: tiny, small, paper or a number; auto: paper on a GPU, tiny on a CPU."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "space", resolved(self.space))  # a run may be resumed from another folder


@dataclass(frozen=True)
class DataSettings:
    """Images. The validation set is a stratified sample of the training set; the test set is never loaded."""

    dataset: str = "cifar100"
    """cifar100, cifar10, digits (built in), npz:FILE or folder:DIR."""
    data_dir: Path = Path("data")
    """Where downloaded and resized images are kept."""
    image_size: Annotated[int | None, flag_help.default("32 for folders, else the data set's")] = None
    """Size in pixels that a folder's images are resized to."""
    max_images: Annotated[int | None, flag_help.default("all")] = None
    """Use a stratified sample of this many images."""
    val_fraction: float = 0.1
    """Share of the training set held out to validate trials."""

    def __post_init__(self) -> None:
        if not 0 < self.val_fraction < 1:
            raise SettingError("val_fraction", self.val_fraction, "must lie between 0 and 1, for example 0.1")
        if self.image_size is not None and self.image_size < 8:
            raise SettingError("image_size", self.image_size, "must be at least 8")
        if self.max_images is not None and self.max_images < 2:
            raise SettingError("max_images", self.max_images, "must be at least 2")


@dataclass(frozen=True)
class ChoiceSettings:
    """How the next trial is chosen."""

    optimizer: Literal["smac", "hyperband", "random"] = "smac"
    """smac: model-based; hyperband: the same rungs without a model; random: every trial at --max-epochs."""
    warm_start: Annotated[Path | None, flag_help.default("none")] = None
    """Run folder whose results the model starts from, even on other images; it is copied, not changed."""
    replicates: float = 0.15
    """The largest share of the epochs for training the best few again with fresh seeds, once they differ by
    little more than seeds do; 0: never, and the best single result is the incumbent."""
    seed: int = 0
    """Master seed, from which those of the split, the optimiser and every trial are derived."""

    def __post_init__(self) -> None:
        if not 0 <= self.replicates <= 0.5:
            raise SettingError("replicates", self.replicates, "must lie between 0 and 0.5, for example 0.15")
        if not 0 <= self.seed < 2**31:
            raise SettingError("seed", self.seed, "must be at least 0 and below 2^31")


@dataclass(frozen=True)
class SearchSettings:
    """All settings of one run."""

    budget: Annotated[BudgetSettings, flag_help.group("Budget")] = field(default_factory=BudgetSettings)
    fidelity: Annotated[Fidelity, flag_help.group("Fidelity")] = field(default_factory=Fidelity)
    space: Annotated[SpaceSettings, flag_help.group("Search space")] = field(default_factory=SpaceSettings)
    data: Annotated[DataSettings, flag_help.group("Data")] = field(default_factory=DataSettings)
    choice: Annotated[ChoiceSettings, flag_help.group("Optimiser")] = field(default_factory=ChoiceSettings)
    costs: Annotated[CostSettings, flag_help.group("Objectives and limits")] = field(
        default_factory=CostSettings
    )
    smac: Annotated[OptimizerSettings, flag_help.group("SMAC")] = field(default_factory=OptimizerSettings)
    train: Annotated[TrainSettings, flag_help.group("Training")] = field(default_factory=TrainSettings)
    machine: Annotated[MachineSettings, flag_help.group("Device")] = field(default_factory=MachineSettings)

    def to_json(self) -> dict[str, Any]:
        """Returns the settings as nested plain values."""
        settings = asdict(self)
        settings["costs"] = self.costs.to_json()
        if not settings["costs"]:  # left out without costs, as in earlier versions
            del settings["costs"]
        settings["smac"]["rungs"] = learnt_rungs.to_record(
            self.smac.rungs, later=_later(self.costs, self.smac.brackets)
        )
        settings["data"]["data_dir"] = str(self.data.data_dir)
        warm_start = self.choice.warm_start
        settings["choice"]["warm_start"] = None if warm_start is None else str(warm_start)
        return settings

    def recorded(self) -> search_file.Settings:
        """Returns the settings in the form of ``search.json``."""
        return records.read(search_file.Settings, self.to_json())

    @classmethod
    def of(cls, search: search_file.SearchFile) -> SearchSettings:
        """Returns the settings of a run.

        Raises:
            UserError: See :meth:`from_json`.
        """
        return cls.from_json(records.write(search.settings))

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> SearchSettings:
        """Inverts :meth:`to_json`.

        Raises:
            UserError: If a key is unknown, missing or has a value out of range.
        """
        # Each group's default factory is its class.
        parts: dict[str, Any] = {one.name: one.default_factory for one in fields(cls) if one.name != "costs"}
        try:
            groups = {key: dict(values[key]) for key in parts}
            costs = CostSettings.from_json(values.get("costs", {}))
            groups["choice"].setdefault("replicates", 0.0)  # as in the version without them
            smac = groups["smac"]
            smac.setdefault("ask_ahead", "always")  # likewise
            later = _later(costs, smac.get("brackets"))
            smac["rungs"] = learnt_rungs.from_record(
                smac.get("rungs", learnt_rungs.ALL), later=later
            )  # likewise
            groups["data"]["data_dir"] = Path(groups["data"]["data_dir"])
            if groups["choice"].get("warm_start") is not None:
                groups["choice"]["warm_start"] = Path(groups["choice"]["warm_start"])
            return cls(**{key: part(**groups[key]) for key, part in parts.items()}, costs=costs)
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise UserError(f"search.json: settings of another version ({error})") from None


def refuse_foreign_space(stored: SearchSettings, said: str | None) -> None:
    """Refuses to run the code of a custom space just because a run folder names it.

    Args:
        stored: Settings from a run folder, which may come from anyone.
        said: The space that the user named.

    Raises:
        UserError: If the run's space is a custom one that the user did not name.
    """
    name = stored.space.space
    if is_code(name) and (said is None or resolved(said) != name):
        raise SettingError(
            "space", None, f"this run's space is code of {name}; to have it run, say {setting('space', name)}"
        )


def _every(settings: SearchSettings) -> dict[str, Any]:
    """Returns all settings as plain values, including those that ``search.json`` leaves out."""
    return {**settings.to_json(), "costs": asdict(settings.costs), "smac": asdict(settings.smac)}


def _later(costs: CostSettings, brackets: str | None) -> bool:
    """Whether only later versions left out rungs here; see :func:`nas.run.learnt_rungs.to_record`."""
    return costs.active or brackets == "hyperband"


# Settings that a resumed run may change: when to stop and where to run, never what is measured.
CHANGEABLE = {
    ("budget", "budget"),
    ("budget", "trials"),
    ("budget", "trial_timeout"),
    ("choice", "replicates"),  # affects later proposals only
    ("data", "dataset"),  # another path; the images are compared
    ("data", "data_dir"),
    ("machine", "device"),
    ("machine", "cuda_graphs"),
    ("machine", "reference"),  # rounds differently, like another device
    ("machine", "checkpoint_quota"),
    ("machine", "workers"),
    ("machine", "trials_per_gpu"),
    ("machine", "dask_scheduler"),
    ("machine", "cluster"),
}


def refuse_changes(stored: SearchSettings, wanted: SearchSettings) -> None:
    """Refuses to resume a run with settings that would make its trials incomparable.

    Raises:
        UserError: If there are any; it names the first such setting.
    """
    old, new = _every(stored), _every(wanted)
    for group, values in old.items():
        for key, value in values.items():
            if new[group][key] != value and (group, key) not in CHANGEABLE:
                field = f"{group}.{key}" if (group, key) == ("train", "optimizer") else key
                rule = f"this run was begun with {_typed(value)}; leave it out, or start a new run"
                raise SettingError(field, new[group][key], rule, _typed(new[group][key]))


def _typed(value: object) -> str:
    """Formats a setting's value as typed."""
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
