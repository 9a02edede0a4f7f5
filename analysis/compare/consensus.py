"""What several runs agree on: which hyperparameters matter, and which choices are best."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.importance import by_budget, engines, marginals

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analysis.compare.groups import Group
    from analysis.frames import Run


def with_importances(runs: Sequence[Run]) -> list[Run]:
    """Returns the runs with enough trials to compute importances."""
    return [run for run in runs if marginals.enough(run)]


def importances(groups: Sequence[Group], settings: by_budget.ImportanceSettings) -> pd.DataFrame:
    """Overall importances of every run that has enough trials, by our own forest.

    Returns:
        One row a run, method (``lpi``, ``fanova``) and hyperparameter: ``run``, ``group``, ``method``,
        ``hyperparameter``, ``importance``.
    """
    rows = []
    for part in groups:
        for run in with_importances(part.runs):
            config = run.config(by_budget.find_centre(run))
            found = engines.local(run, run.measured, config, trees=settings.trees, seed=settings.seed)
            for method in ("lpi", "fanova"):
                scores = found[method]
                for (name, *_), mean in zip(scores.names, scores.mean, strict=True):
                    rows.append((run.name, part.label, method, name, float(mean)))
    return pd.DataFrame(rows, columns=["run", "group", "method", "hyperparameter", "importance"])


def preferences(run: Run, settings: by_budget.ImportanceSettings) -> pd.DataFrame:
    """Mean top-1 of each choice over all combinations of the others, by a model of all trials.

    Returns:
        One row a choice: ``hyperparameter``, ``choice``, ``top1``.
    """
    fitted = engines.fit(run, run.measured, trees=settings.trees, seed=settings.seed)
    rows = []
    for place, hp in enumerate(fitted.hyperparameters):
        top1 = 1 - np.mean([tree.marginal(place) for tree in fitted.trees], axis=0)
        rows += [(hp.name, choice, float(value)) for choice, value in zip(hp.choices, top1, strict=True)]
    return pd.DataFrame(rows, columns=["hyperparameter", "choice", "top1"])


def agreement(runs: Sequence[Run], settings: by_budget.ImportanceSettings) -> pd.DataFrame:
    """Whether the runs rank the choices of each hyperparameter alike.

    Returns:
        One row a hyperparameter: ``hyperparameter``, ``runs``, ``best`` (the choice most runs have
        first), ``agreeing`` (how many do), ``rank_correlation`` (Spearman's, mean over pairs of runs;
        NaN for fewer than two runs).
    """
    runs = with_importances(runs)
    rows = []
    tables = [preferences(run, settings) for run in runs]
    for name in tables[0]["hyperparameter"].unique() if tables else []:
        parts = [table[table["hyperparameter"] == name].reset_index(drop=True) for table in tables]
        values = np.stack([part["top1"].to_numpy() for part in parts])
        firsts = pd.Series(values.argmax(axis=1)).mode()
        best = int(firsts.iloc[0])
        rows.append(
            {
                "hyperparameter": name,
                "runs": len(runs),
                "best": parts[0]["choice"].iloc[best],
                "agreeing": int((values.argmax(axis=1) == best).sum()),
                "rank_correlation": mean_rank_correlation(values),
            }
        )
    columns = ["hyperparameter", "runs", "best", "agreeing", "rank_correlation"]
    return pd.DataFrame(rows, columns=columns)


def mean_rank_correlation(values: np.ndarray) -> float:
    """Spearman's rank correlation, mean over all pairs of rows; NaN if there is none."""
    from scipy.stats import rankdata

    ranks = rankdata(values, axis=1)
    found = [np.corrcoef(a, b)[0, 1] for a, b in combinations(ranks, 2) if np.ptp(a) > 0 and np.ptp(b) > 0]
    return float(np.mean(found)) if found else float("nan")
