"""What the forest learns from: rows and scaled logarithmic costs of one rung's trials."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from smac.runhistory import StatusType
from smac.runhistory.encoder import RunHistoryLogScaledEncoder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from smac.scenario import Scenario


class CrashAwareEncoder(RunHistoryLogScaledEncoder):
    """SMAC's log-scaled encoder, but for crashes.

    A crash counts as the worst success of the rung, and one at a lower rung counts too. SMAC's own
    crash cost would stretch the scale on which all costs are compared; and since a crashed
    configuration is never promoted, a forest that learns from high rungs only would never hear of
    it and propose the like again and again.
    """

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(
            scenario,
            considered_states=[StatusType.SUCCESS],
            lower_budget_states=[StatusType.CRASHED],
        )

    def rung_to_learn_from(self, min_trials: int) -> float | None:
        """Gives the highest budget with so many successes, None if there is none."""
        successes: dict[float, int] = {}
        for trial, value in self.runhistory.items():
            if value.status == StatusType.SUCCESS:
                successes[trial.budget] = successes.get(trial.budget, 0) + 1
        return max((budget for budget, count in successes.items() if count >= min_trials), default=None)

    def transform(self, budget_subset: Sequence[float]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Gives rows ``(N, D)`` and transformed costs ``(N, 1)`` for one budget with a success."""
        (budget,) = budget_subset
        rows, costs = [], []
        for trial, value in self.runhistory.items():
            succeeded = value.status == StatusType.SUCCESS and trial.budget == budget
            crashed = value.status == StatusType.CRASHED and trial.budget <= budget
            if succeeded or crashed:
                rows.append(self.runhistory.get_config(trial.config_id).get_array())
                costs.append(value.cost if succeeded else np.nan)
        y = np.array(costs).reshape(-1, 1)
        y[np.isnan(y)] = np.nanmax(y)
        self._percentile = np.percentile(y, self._scale_percentage, axis=0)
        self._min_y, self._max_y = np.min(y, axis=0), np.max(y, axis=0)
        return np.array(rows), self.transform_response_values(y)
