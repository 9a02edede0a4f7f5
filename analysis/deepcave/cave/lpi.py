"""Local parameter importance over all choices, the incumbent's own included.

Stock DeepCAVE (1.4.1) takes the variance over the incumbent's neighbours only. A hyperparameter of
two choices has one neighbour, so its importance is 0 whatever it does, and of many choices only
four are looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from ConfigSpace import CategoricalHyperparameter, OrdinalHyperparameter
from deepcave.constants import COMBINED_COST_NAME
from deepcave.evaluators.epm.fanova_forest import FanovaForest

if TYPE_CHECKING:
    from deepcave.runs import AbstractRun
    from deepcave.runs.objective import Objective


class ChoiceLPI:
    """LPI (Biedenkapp et al., 2018, "CAVE") of a space of discrete choices; DeepCAVE's interface."""

    def __init__(self, run: AbstractRun) -> None:
        """Takes the run."""
        self._run = run
        self._fractions: dict[str, np.ndarray] = {}

    def calculate(
        self, objectives: Objective, budget: float | None = None, n_trees: int = 10, seed: int = 0
    ) -> None:
        """Fits the forest and predicts all choices of each hyperparameter, all else the incumbent's.

        Raises:
            ValueError: If the space has a hyperparameter that is not discrete.
        """
        space = self._run.configspace
        frame = self._run.get_encoded_data(objectives, budget, specific=True, include_combined_cost=True)
        forest = FanovaForest(space, n_trees=n_trees, seed=seed)
        forest.train(frame[list(space)].to_numpy(), frame[COMBINED_COST_NAME].to_numpy())
        incumbent, _ = self._run.get_incumbent(objectives=objectives, budget=budget)
        start = np.array(incumbent.get_array())

        variances = {}
        for position, (name, hp) in enumerate(space.items()):
            predictions = []
            for choice in range(_choices(hp)):
                asked = start.copy()
                asked[position] = choice
                predictions.append([np.mean(leaves) for leaves in forest.get_leaf_values(asked)])
            variances[name] = np.var(predictions, axis=0)
        total = sum(variances.values())
        split = total > 0
        self._fractions = {name: values[split] / total[split] for name, values in variances.items()}

    def get_importances(self, hp_names: list[str]) -> dict[str, tuple[float, float]]:
        """Mean and variance of each hyperparameter's share, over the trees."""
        return {
            name: (float(np.mean(found)), float(np.var(found))) if len(found) else (np.nan, np.nan)
            for name, found in ((name, self._fractions[name]) for name in hp_names)
        }


def _choices(hp: Any) -> int:
    if isinstance(hp, CategoricalHyperparameter):
        return len(hp.choices)
    if isinstance(hp, OrdinalHyperparameter):
        return len(hp.sequence)
    raise ValueError(f"{hp.name}: LPI over all choices needs a discrete hyperparameter")
