"""Reads a run's export (``deepcave/history.json`` in the run folder) as a DeepCAVE run."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from ConfigSpace import (
    CategoricalHyperparameter,
    ConfigurationSpace,
    Constant,
    OrdinalHyperparameter,
)
from ConfigSpace.hyperparameters.hp_components import ROUND_PLACES
from deepcave.runs.objective import Objective
from deepcave.runs.run import Run
from deepcave.runs.status import Status
from deepcave.runs.trial import Trial
from deepcave.utils.util import config_to_tuple

FORMAT = 1
EXPORT = Path("deepcave") / "history.json"

STATUSES = {
    "success": Status.SUCCESS,
    "timeout": Status.TIMEOUT,
    "memoryout": Status.MEMORYOUT,
    "crashed": Status.CRASHED,
}


class SearchRun(Run):
    """A search of ours.

    The stock class offers a budget "Combined", the highest budget of each configuration, and its
    pages begin with it. It mixes errors after few epochs with errors after many, so it is not
    offered here.
    """

    prefix = "smacnas"
    _initial_order = 1

    @classmethod
    def from_path(cls, path: Path | str) -> SearchRun:
        """Reads a run folder.

        Raises:
            OSError: If there is no export in it.
            ValueError: If the export is of another format or not readable.
        """
        path = Path(path)
        run = cls.from_export(json.loads((path / EXPORT).read_bytes()))
        run._path = path
        return run

    @classmethod
    def from_export(cls, export: dict[str, Any]) -> SearchRun:
        """Builds the run from the export's contents.

        Stock ``add`` compares every configuration with all earlier ones; this fills the same
        fields in one pass.

        Raises:
            ValueError: If the export is of another format.
        """
        if export.get("format") != FORMAT:
            raise ValueError(f"export of format {export.get('format')!r}, this reads {FORMAT}")
        space = discrete_space(export["configspace"])
        meta = {"search space": export["space"], "data": export["data"]}
        run = cls(export["name"], space, [Objective(**given) for given in export["objectives"]], meta)
        run.prefix = export["optimizer"]  # pages show it as the optimiser
        names = list(space)
        for number, (config, origin) in enumerate(zip(export["configs"], export["origins"], strict=True)):
            values = {name: config[name] for name in names}
            run.configs[number] = values
            run.origins[number] = origin
            run.config_id_mapping[config_to_tuple(values, ROUND_PLACES)] = number
        run._fill(export["trials"], export["seed"])
        return run

    def _fill(self, trials: list[dict[str, Any]], seed: int) -> None:
        objectives = self.get_objectives()
        for given in trials:
            status = STATUSES[given["status"]]
            trial = Trial(
                config_id=given["config"],
                budget=given["budget"],
                seed=seed + given.get("repeat", 0),
                costs=given["costs"] or [None] * len(objectives),
                cpu_time=0.0,
                start_time=round(given["start"], 2),
                end_time=round(given["end"], 2),
                status=status,
                additional=given["additional"],
            )
            known = self.trial_keys.setdefault(trial.get_key(), len(self.history))
            self.history[known : known + 1] = [trial]  # asked again after a crash: the last one counts
            self._update_highest_budget(trial.config_id, trial.budget, status)
            _widen(objectives, trial.costs)
        self.meta["objectives"] = [objective.to_json() for objective in objectives]
        self.meta["budgets"] = sorted({trial.budget for trial in self.history})
        self.meta["seeds"] = sorted({trial.seed for trial in self.history})

    @property
    def hash(self) -> str:
        """Changes whenever the export is replaced."""
        if self.path is None:
            return ""
        found = (self.path / EXPORT).stat()
        return f"{found.st_mtime_ns}-{found.st_ino}-{found.st_size}"

    @property
    def latest_change(self) -> float:
        """When the export was written, seconds since 1970."""
        return 0.0 if self.path is None else (self.path / EXPORT).stat().st_mtime

    @classmethod
    def is_valid_run(cls, path_name: str) -> bool:
        """Whether a folder holds an export."""
        return (Path(path_name) / EXPORT).is_file()

    def get_budgets(self, human: bool = False, include_combined: bool = True) -> list[Any]:
        """The budgets in epochs, "Combined" never among them."""
        del human, include_combined
        return list(self.meta["budgets"])

    def get_budget_ids(self, include_combined: bool = True) -> list[int]:
        """Positions of the budgets."""
        del include_combined
        return list(range(len(self.meta["budgets"])))

    def get_highest_budget(self, config_id: int | None = None) -> Any:
        """Most epochs that anything, or one configuration, succeeded with."""
        if config_id is None:
            return max(self._highest_budget.values(), default=None)
        return super().get_highest_budget(config_id)

    def get_trajectory(self, objective: Objective, budget: Any = None, seed: Any = None) -> tuple[list, ...]:
        """When the best cost improved: times, costs, their deviations, trials, configurations.

        Stock DeepCAVE looks through all earlier trials again for each trial: half a minute at 2,000.
        """
        del seed
        budget = self.get_highest_budget() if budget is None else budget
        column = self.get_objective_id(objective)
        sign = 1 if objective.optimize == "lower" else -1
        steps: list[tuple] = []
        best = math.inf
        for number, trial in sorted(enumerate(self.history), key=lambda item: item[1].end_time):
            cost = trial.costs[column]
            if trial.budget == budget and cost is not None and sign * cost < best:
                best = sign * cost
                steps.append((trial.end_time, cost, 0.0, number, trial.config_id))
        return tuple(map(list, zip(*steps, strict=True))) if steps else ([], [], [], [], [])

    def get_avg_costs(
        self, config_id: int, budget: Any = None, statuses: Any = None
    ) -> tuple[list[float], list[float]]:
        """A configuration's costs, the means over its seeds, and their deviations over seeds.

        Raises:
            ValueError: If there is no such trial.
        """
        budget = self.get_highest_budget() if budget is None else budget
        found = (self.get_trial((config_id, budget, seed)) for seed in self.meta["seeds"])
        trials = [trial for trial in found if trial is not None]
        wanted = statuses if isinstance(statuses, list) else [statuses]
        if statuses is not None:
            trials = [trial for trial in trials if trial.status in wanted]
        if not trials:
            raise ValueError(f"No costs available for config_id {config_id}.")
        measured = [t for t in trials if t.costs[0] is not None] or trials[:1]
        costs = np.array([[math.nan if cost is None else float(cost) for cost in t.costs] for t in measured])
        return costs.mean(axis=0).tolist(), costs.std(axis=0).tolist()


def discrete_space(serialized: dict[str, Any]) -> ConfigurationSpace:
    """Reads a space in the form DeepCAVE's forests can work with.

    A constant makes all of fANOVA's results NaN, so constants are left out. Ordinals become
    categoricals: as a scale, the outer choices would get half the weight of the inner ones.
    """
    space = ConfigurationSpace.from_serialized_dict(serialized)
    reduced = ConfigurationSpace(name=space.name)
    for hp in space.values():
        if isinstance(hp, OrdinalHyperparameter):
            reduced.add(CategoricalHyperparameter(hp.name, hp.sequence, default_value=hp.default_value))
        elif not isinstance(hp, Constant):
            reduced.add(hp)
    reduced.add(space.conditions)
    reduced.add(space.forbidden_clauses)
    return reduced


def _widen(objectives: list[Objective], costs: list[float | None]) -> None:
    for objective, cost in zip(objectives, costs, strict=True):
        if cost is None or not np.isfinite(cost):
            continue
        if not objective.lock_lower:
            objective.lower = min(objective.lower, cost)
        if not objective.lock_upper:
            objective.upper = max(objective.upper, cost)
