"""Which choices matter for the error, for a cost, and for weighted sums of the two."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.importance import engines, fanova
from analysis.tradeoffs import MIN_TRIALS
from nas.run.objectives import COST

if TYPE_CHECKING:
    from analysis.frames import Run
    from nas.run.objectives import Objectives

WEIGHTS = (1.0, 0.75, 0.5, 0.25, 0.0)  # of the error


def by_objective(run: Run, objectives: Objectives, *, trees: int, seed: int) -> pd.DataFrame:
    """Computes the shares of variance that choices explain (fANOVA), from the error alone to the cost alone.

    Error and the cost's logarithm are scaled to 0..1 and summed with weights, as ParEGO does (Knowles, IEEE
    Transactions on Evolutionary Computation, 2006, without its augmentation); a forest is fitted to each sum
    over the trials of the budget that has most.

    Args:
        run: The run.
        objectives: Objectives of the run besides the error; the first cost is used.
        trees: Number of trees of a forest.
        seed: Seed of the forests.

    Returns:
        One row a weight and hyperparameter: ``weight`` (of the error), ``hyperparameter``, ``importance``
        and ``std_trees``. Empty if no budget has ten such trials.
    """
    column = COST + objectives.costs[0]
    measured = run.measured
    measured = measured[measured[column] > 0]
    counts = measured["epochs"].value_counts()
    if counts.empty or counts.iloc[0] < MIN_TRIALS:
        return pd.DataFrame()
    trials = measured[measured["epochs"] == counts.index[0]]
    error, cost = _scaled(trials["error"]), _scaled(np.log(trials[column].astype(float)))
    parts = []
    for weight in WEIGHTS:
        target = trials.assign(error=weight * error + (1 - weight) * cost)
        fitted = engines.fit(run, target, trees=trees, seed=seed)
        shares = fanova.main_effects(fitted)
        parts.append(
            pd.DataFrame(
                {
                    "weight": weight,
                    "hyperparameter": fitted.names,
                    "importance": shares.mean(axis=0),
                    "std_trees": shares.std(axis=0),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def _scaled(values: pd.Series) -> pd.Series:
    return (values - values.min()) / max(float(np.ptp(values)), 1e-12)
