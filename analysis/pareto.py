"""The Pareto front of accuracy and size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from analysis.frames import Run


def candidates(run: Run) -> pd.DataFrame:
    """Returns the measured trials of the highest rung reached, since rungs cannot be compared."""
    measured = run.measured
    return measured[measured["epochs"] == measured["epochs"].max()]


def front(trials: pd.DataFrame, cost: str) -> pd.DataFrame:
    """Returns the Pareto front of error and cost, in ascending order of cost.

    Args:
        trials: Trials of one rung.
        cost: ``macs``, ``params`` or another column of which less is better.
    """
    ordered = trials.sort_values([cost, "error"], kind="stable")
    best_before = np.minimum.accumulate(np.r_[np.inf, ordered["error"].to_numpy()[:-1]])
    return ordered[ordered["error"].to_numpy() < best_before]
