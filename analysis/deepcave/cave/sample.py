"""The trials one evaluation is made from, in the form DeepCAVE's evaluators ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from cave.converter import SearchRun
from ConfigSpace import Configuration
from deepcave.constants import COMBINED_BUDGET, COMBINED_COST_NAME
from deepcave.runs.run import Run
from deepcave.runs.status import Status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deepcave.runs.objective import Objective
    from deepcave.runs.trial import Trial


def successes(run: Run, budget: float | None, trials: Sequence[int] | None = None) -> list[Trial]:
    """Picks the trials to evaluate.

    Crashed ones have no cost; stock evaluators give them the worst possible one, which then
    explains more than any choice does.

    Args:
        run: The search.
        budget: Epochs; None takes each configuration at the most epochs it succeeded with.
        trials: Numbers to choose from, a number as often as it shall count; None for all.
    """
    able = [trial for trial in run.history if trial.status == Status.SUCCESS]
    if trials is not None:
        by_number = {trial.additional["trial"]: trial for trial in able}
        able = [by_number[number] for number in trials if number in by_number]
    if budget is not None and budget != COMBINED_BUDGET:
        return [trial for trial in able if trial.budget == budget]
    most: dict[int, float] = {}
    for trial in able:
        most[trial.config_id] = max(trial.budget, most.get(trial.config_id, 0))
    return [trial for trial in able if trial.budget == most[trial.config_id]]


class Sample(SearchRun):
    """A choice of trials, repetitions included, that an evaluator takes for a run.

    Every configuration is encoded in one way. The stock class has two: ablation fits its forest
    with the one and asks it with the other, which turns a hyperparameter's third choice into its
    second or first (in deepcave 1.4.1, three or more choices).
    """

    def __init__(self, run: Run, objective: Objective, trials: Sequence[Trial]) -> None:
        """Takes the trials; ``objective`` says what their cost is."""
        super().__init__(run.name, run.configspace, run.get_objectives())
        column = run.get_objective_id(objective)
        # As encode_config would, which takes seconds for thousands of trials.
        places = {name: {c: i for i, c in enumerate(hp.choices)} for name, hp in run.configspace.items()}
        configs = [run.configs[trial.config_id] for trial in trials]
        rows = [[place[config[name]] for name, place in places.items()] for config in configs]
        self._rows = np.array(rows, dtype=float)
        self._costs = np.array([trial.costs[column] for trial in trials], dtype=float)
        better = np.argmin if objective.optimize == "lower" else np.argmax
        best = int(better(self._costs))
        self._best = run.configs[trials[best].config_id], float(self._costs[best])

    def set_incumbent(self, config: dict[str, Any]) -> None:
        """Makes a configuration the incumbent, whether it is in the sample or not."""
        self._best = config, self._best[1]

    def get_incumbent(self, *args: Any, **kwargs: Any) -> tuple[Configuration, float]:
        """The best configuration of the sample and its cost."""
        del args, kwargs
        return Configuration(self.configspace, self._best[0]), self._best[1]

    def encode_config(self, config: Any, specific: bool = True) -> list[float]:
        """The position of each choice."""
        del specific
        return super().encode_config(config, specific=True)

    def get_encoded_data(self, objectives: Any = None, *args: Any, **kwargs: Any) -> pd.DataFrame:
        """Encoded configurations with their costs."""
        del args, kwargs
        objective = objectives[0] if isinstance(objectives, list) else objectives
        frame = pd.DataFrame(self._rows, columns=list(self.configspace))
        frame[objective.name] = self._costs
        frame[COMBINED_COST_NAME] = self._costs if objective.optimize == "lower" else -self._costs
        return frame
