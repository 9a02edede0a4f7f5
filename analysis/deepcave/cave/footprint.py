"""The configuration footprint in seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from deepcave.constants import RANDOM_CONFIG_ID
from deepcave.evaluators.footprint import Footprint
from deepcave.runs.status import Status
from scipy.spatial.distance import cdist
from sklearn.manifold import MDS

if TYPE_CHECKING:
    from deepcave.runs.objective import Objective


class QuickFootprint(Footprint):
    """Stock footprint with a bound on the points it arranges, for a space of discrete choices.

    The stock one adds up to 4,000 made-up configurations, one distance at a time in Python, and
    arranges them all: a quarter of an hour for 150 trials. Its "border" configurations, of extreme
    values, do not exist where every hyperparameter is a choice.
    """

    def calculate(
        self, objective: Objective, budget: float, n_trials: int = 400, n_supports: int = 250
    ) -> None:
        """Arranges configurations in the plane by the number of choices they differ in.

        Args:
            objective: What the surface shows.
            budget: Epochs.
            n_trials: Most trials to show, the best ones.
            n_supports: Random configurations, which show how far the space reaches.
        """
        self._reset()
        self.cs.seed(0)
        frame = self.run.get_encoded_data(
            objective, budget, statuses=Status.SUCCESS, specific=True, include_config_ids=True
        )
        frame = frame.sort_values(objective.name, ascending=objective.optimize == "lower").head(n_trials)
        trials = frame[list(self.cs)].to_numpy()
        supports = [config.get_array() for config in self.cs.sample_configuration(n_supports)]
        incumbent, _ = self.run.get_incumbent(objective, budget, statuses=Status.SUCCESS)

        self._incumbent_id = self.run.get_config_id(incumbent)
        self._config_ids = [*frame["config_id"].astype(int), *[RANDOM_CONFIG_ID] * n_supports]
        self._X = np.concatenate([trials, supports])
        self._distances = cdist(self._X, self._X, "hamming") * len(self.cs)
        mds = MDS(n_components=2, dissimilarity="precomputed", random_state=0, n_init=1, max_iter=100)
        self._MDS_X = mds.fit_transform(self._distances)
        self._train_on_objective(self._MDS_X[: len(trials)], frame[objective.name].to_numpy())
        self._trained = True
        self._train_on_areas()
