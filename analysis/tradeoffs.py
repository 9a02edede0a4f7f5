"""The front of a run over time, and which choices buy accuracy and which buy cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis import pareto
from nas.run.objectives import COST, Objectives, hypervolume
from nas.run.posterior import posterior

if TYPE_CHECKING:
    from analysis.frames import Run

MIN_TRIALS = 10  # as for importances: fewer show nothing about a dozen choices
_RIDGE = 1e-3


def objectives(run: Run) -> Objectives | None:
    """Returns objectives and limits of a run besides the error, None for the error alone."""
    return Objectives.of(run.search)


def fitting(run: Run, objectives: Objectives) -> pd.DataFrame:
    """Returns measured trials of the highest rung within all limits and with known costs."""
    trials = run.budget(run.rungs[-1])
    columns = [COST + name for name in objectives.names]
    known = trials.dropna(subset=columns)
    for name, limit in objectives.limits.items():
        known = known[known[COST + name] <= limit]
    return known


def front(run: Run, objectives: Objectives) -> pd.DataFrame:
    """Returns the Pareto front of error and first cost, in ascending order of cost.

    Once the search has trained any with a further seed, with the errors expected over all seeds.
    """
    trials = fitting(run, objectives)
    if not run.replicates.empty:
        known = posterior(run.state, run.rungs[-1])
        means = {one.trial.trial: one.mean for one in known.estimates if not one.crashed}
        trials = trials[trials["trial"].isin(means)]
        trials = trials.assign(error=trials["trial"].map(means))
    return pareto.front(trials, COST + objectives.costs[0])


def volume_over_time(run: Run, objectives: Objectives) -> pd.DataFrame:
    """The front's hypervolume whenever a trial of the highest rung ended: ``clock`` (s), ``hypervolume``.

    Empty before the base architecture was trained, which says how large the box is.
    """
    base = run.baseline(run.rungs[-1])
    ends = [objectives.limits.get(name, np.nan) for name in objectives.costs]
    if base is not None:
        own = [4 * base.get(COST + name, np.nan) for name in objectives.costs]
        ends = [end if np.isfinite(end) else other for end, other in zip(ends, own, strict=True)]
    if not np.isfinite(ends).all():
        return pd.DataFrame({"clock": [], "hypervolume": []})
    trials = fitting(run, objectives).sort_values("clock", kind="stable")
    points = trials[["error", *(COST + name for name in objectives.costs)]].to_numpy()
    volumes = [hypervolume(points[: n + 1].tolist(), (1.0, *ends)) for n in range(len(points))]
    return pd.DataFrame({"clock": trials["clock"].to_numpy(), "hypervolume": volumes})


def effects(run: Run, objectives: Objectives) -> pd.DataFrame:
    """Estimates the effect of each value on accuracy and costs, relative to the base architecture's value.

    Main effects of a ridge regression over the trials of the budget that has most, of the error and of each
    cost's logarithm: what a value does when all else stays, as far as choices act each for itself.

    Returns:
        One row a value that differs from the base's: ``hyperparameter``, ``value``, ``trials`` (that have
        it), ``top1`` (points gained), and for each cost by its name the factor by which it changes. Empty if
        no budget has :data:`MIN_TRIALS` trials.
    """
    columns = [COST + name for name in objectives.costs]
    measured = run.measured.dropna(subset=columns)
    measured = measured[(measured[columns] > 0).all(axis=1)]
    counts = measured["epochs"].value_counts()
    if counts.empty or counts.iloc[0] < MIN_TRIALS:
        return pd.DataFrame()
    trials = measured[measured["epochs"] == counts.index[0]]
    default = run.default
    found = [
        (name, value)
        for name in run.hyperparameters
        for value in dict.fromkeys(trials[name].tolist())
        if value != default.get(name) and value is not None and not isinstance(value, float)
    ]
    design = np.column_stack(
        [np.ones(len(trials)), *((trials[name] == value).to_numpy(float) for name, value in found)]
    )
    targets = np.column_stack(
        [trials["error"], *(np.log(trials[column].astype(float)) for column in columns)]
    )
    penalty = _RIDGE * len(trials) * np.diag([0.0, *np.ones(len(found))])
    weights = np.linalg.solve(design.T @ design + penalty + 1e-9 * np.eye(len(penalty)), design.T @ targets)
    return pd.DataFrame(
        {
            "hyperparameter": [name for name, _ in found],
            "value": [value for _, value in found],
            "trials": design[:, 1:].sum(axis=0).astype(int),
            "top1": -100 * weights[1:, 0],
            **{name: np.exp(weights[1:, place]) for place, name in enumerate(objectives.costs, start=1)},
        }
    )
