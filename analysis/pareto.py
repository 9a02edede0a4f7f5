"""Accuracy against size: which networks are beaten by none in both."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

    from analysis.frames import Run


def candidates(run: Run) -> pd.DataFrame:
    """Measured trials of the highest rung reached: errors of different rungs do not compare."""
    measured = run.measured
    return measured[measured["epochs"] == measured["epochs"].max()]


def front(trials: pd.DataFrame, cost: str) -> pd.DataFrame:
    """Trials that no other beats or equals in both error and cost, by rising cost.

    Args:
        trials: Of one rung.
        cost: ``macs``, ``params`` or another column of which less is better.
    """
    ordered = trials.sort_values([cost, "error"], kind="stable")
    best_before = np.minimum.accumulate(np.r_[np.inf, ordered["error"].to_numpy()[:-1]])
    return ordered[ordered["error"].to_numpy() < best_before]
