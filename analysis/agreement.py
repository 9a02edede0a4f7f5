"""Rank correlations between rungs: whether few epochs rank configurations as many epochs do."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from analysis.frames import Run

MIN_CONFIGS = 10
MIN_DRAWN = 3
_REPEATS = 1000


def shared(run: Run, low: int, high: int) -> pd.DataFrame:
    """Returns the errors of configurations measured at both rungs: ``config_id``, ``low``, ``high``."""
    errors = [run.budget(epochs).set_index("config_id")["error"] for epochs in (low, high)]
    return pd.concat(errors, axis=1, join="inner", keys=["low", "high"]).reset_index()


def correlations(run: Run, seed: int = 0) -> pd.DataFrame:
    """Computes Spearman's rank correlation of the errors for each pair of rungs.

    Only promoted configurations are seen at both, and these lie closer together than all would: that
    lowers a correlation.

    Returns:
        One row a pair of rungs: ``low``, ``high``, ``configs``, ``rho`` (NaN for fewer than three),
        ``rho_low`` and ``rho_high`` (95 % percentile bootstrap interval, NaN for fewer than ten).
    """
    rows = []
    for low, high in combinations(sorted(run.measured["epochs"].unique()), 2):
        both = shared(run, low, high)
        rho, interval = float("nan"), (float("nan"), float("nan"))
        if len(both) >= MIN_DRAWN:
            rho = float(_spearman(both["low"].to_numpy(), both["high"].to_numpy()))
        if len(both) >= MIN_CONFIGS:
            interval = _interval(both, seed)
        rows.append((int(low), int(high), len(both), rho, *interval))
    return pd.DataFrame(rows, columns=["low", "high", "configs", "rho", "rho_low", "rho_high"])


def verdict(row: pd.Series) -> str:
    """Describes in a sentence whether the lower rung of a row of :func:`correlations` can be trusted."""
    budgets = f"{int(row['low'])} and {int(row['high'])} epochs"
    if row["configs"] < MIN_CONFIGS:
        return (
            f"Configurations trained for both {budgets}: {int(row['configs'])}, too few to tell whether the "
            "shorter training ranks them as the longer one does."
        )
    figures = (
        f"rank correlation {row['rho']:.2f}, 95 % interval {row['rho_low']:.2f} to {row['rho_high']:.2f}"
    )
    head = f"Over {int(row['configs'])} configurations trained for both {budgets} ({figures})"
    if row["rho_low"] >= 0.5:
        return f"{head}, the shorter training is an honest proxy: it ranks them much as the longer one does."
    if row["rho_low"] > 0:
        return (
            f"{head}, the shorter training is a rough proxy: better than chance, but good configurations "
            "may have been dropped."
        )
    return (
        f"{head}, nothing shows that the shorter training is an honest proxy: it may drop the best "
        "configurations. More epochs on the lowest rung are safer."
    )


def _interval(both: pd.DataFrame, seed: int) -> tuple[float, float]:
    rng = np.random.default_rng(seed)
    low, high = both["low"].to_numpy(), both["high"].to_numpy()
    draws = rng.integers(0, len(both), (_REPEATS, len(both)))
    ends = np.nanpercentile(_spearman(low[draws], high[draws]), [2.5, 97.5])
    return float(ends[0]), float(ends[1])


def _spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Computes correlations along the last axis; NaN where one side is constant."""
    from scipy.stats import rankdata

    x, y = (
        ranks - ranks.mean(axis=-1, keepdims=True) for ranks in (rankdata(a, axis=-1), rankdata(b, axis=-1))
    )
    scale = np.sqrt((x**2).sum(axis=-1) * (y**2).sum(axis=-1))
    return np.divide((x * y).sum(axis=-1), scale, out=np.full(scale.shape, np.nan), where=scale > 0)
