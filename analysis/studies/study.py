"""What a run's study is, apart from its trials: name, objectives, distributions and where it comes from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from optuna.exceptions import DuplicatedStudyError
from optuna.study import StudyDirection

from analysis.studies import distributions
from nas.run.objectives import ERROR, Objectives, title
from nas.util.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from optuna.distributions import BaseDistribution
    from optuna.storages import BaseStorage

    from nas.run.folder import Run

ORIGIN = "smacnas:run"  # the study's attribute that says which run it is of
METRIC_NAMES = "study:metric_names"  # where Optuna keeps what Study.set_metric_names takes


@dataclass(frozen=True)
class Study:
    """A run as a study.

    Attributes:
        name: Its name in the storage.
        origin: Tells this run from any other, wherever its folder is.
        costs: What is minimised beside the error.
        limits: The most that costs may be, by name.
        rungs: Epochs of every rung, ascending.
        seed: Seed of the search.
        distributions: Distributions of each hyperparameter, by name.
        attributes: Facts about the run.
    """

    name: str
    origin: str
    costs: tuple[str, ...]
    limits: Mapping[str, float]
    rungs: tuple[int, ...]
    seed: int
    distributions: Mapping[str, BaseDistribution]
    attributes: Mapping[str, Any]

    @classmethod
    def of(cls, run: Run, name: str | None = None) -> Study:
        """Reads what a run is.

        Args:
            run: Its folder.
            name: Name of the study, by default the run's.

        Raises:
            UserError: If a file of it is damaged.
        """
        search = run.read_search()
        objectives = Objectives.of(search)
        attributes = {
            "space": search.space.name,
            "data": search.data.name,
            "optimizer": search.settings.choice.optimizer,
            "seed": search.settings.choice.seed,
            "rungs": search.rungs,
            "folder": str(run.path.resolve()),
        }
        if objectives is not None:
            attributes |= {"limits": dict(objectives.limits), "costs of": objectives.network}
        return cls(
            name=run.name if name is None else name,
            origin=_origin(run),
            costs=() if objectives is None else objectives.costs,
            limits={} if objectives is None else objectives.limits,
            rungs=tuple(search.rungs),
            seed=search.settings.choice.seed,
            distributions=distributions.read(run.configspace_json),
            attributes=attributes,
        )

    def error_only(self) -> Study:
        """The same with the error as its only objective: Optuna draws no learning curves for several."""
        return replace(self, name=f"{self.name} (error)", costs=())

    def create(self, storage: BaseStorage) -> int:
        """Adds it to a storage, without trials; returns its number there.

        Raises:
            UserError: If the storage has one of that name.
        """
        directions = [StudyDirection.MINIMIZE] * (1 + len(self.costs))
        try:
            number = storage.create_new_study(directions, self.name)
        except DuplicatedStudyError:
            raise UserError(
                f"{self.name}: two studies have this name; rename the folder of one run"
            ) from None
        storage.set_study_system_attr(number, METRIC_NAMES, [ERROR, *map(title, self.costs)])
        for name, value in {**self.attributes, ORIGIN: self.origin}.items():
            storage.set_study_user_attr(number, name, value)
        return number


def _origin(run: Run) -> str:
    """The journal's first line has the time and process of the run's beginning; it never changes."""
    with run.journal.open("rb") as file:
        first = file.readline()
    return hashlib.sha256(first).hexdigest()[:16]
