"""The mean effect of each choice, measured and predicted by a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis.importance import forest as forests
from analysis.levels import codes

if TYPE_CHECKING:
    from analysis.frames import Run

MIN_TRIALS = 10  # fewer are not enough for a forest: a single trial would give importance 1.0


def enough(run: Run) -> list[int]:
    """Returns the rungs with at least ten measured trials, epochs."""
    counts = run.measured["epochs"].value_counts()
    return sorted(int(epochs) for epochs in counts.index if counts[epochs] >= MIN_TRIALS)


def marginals(run: Run, *, trees: int = forests.TREES, seed: int = 0) -> pd.DataFrame:
    """Computes the validation top-1 for each choice, rung by rung.

    The measured mean compares the trials as they came: a search tries good combinations more often,
    so part of a difference may be due to the other choices. The model's mean averages a forest's
    prediction over all combinations of the others, each with equal weight.

    Returns:
        One row a rung, hyperparameter and choice: ``epochs``, ``hyperparameter``, ``choice``,
        ``trials``, ``top1``, ``low`` and ``high`` (95 % confidence interval of the mean by Student's
        t, within 0 and 1; NaN for fewer than three trials), ``model_top1``.
    """
    rows: list[dict[str, Any]] = []
    for epochs in enough(run):
        rows += _at_budget(run, epochs, trees, seed)
    columns = ["epochs", "hyperparameter", "choice", "trials", "top1", "low", "high", "model_top1"]
    return pd.DataFrame(rows, columns=columns)


def _at_budget(run: Run, epochs: int, trees: int, seed: int) -> list[dict[str, Any]]:
    trials = run.budget(epochs)
    forest = forests.fit(trials, run.hyperparameters, n_trees=trees, seed=seed)
    rows = []
    for place, hp in enumerate(forest.hyperparameters):
        predicted = 1 - np.mean([tree.marginal(place) for tree in forest.trees], axis=0)
        found = codes(hp, trials[hp.name])
        for code, (choice, model) in enumerate(zip(hp.choices, predicted, strict=True)):
            accuracies = 1 - trials.loc[found == code, "error"].to_numpy()
            low, high = confidence(accuracies)
            rows.append(
                {
                    "epochs": epochs,
                    "hyperparameter": hp.name,
                    "choice": choice,
                    "trials": len(accuracies),
                    "top1": accuracies.mean() if len(accuracies) else float("nan"),
                    "low": low,
                    "high": high,
                    "model_top1": model,
                }
            )
    return rows


def confidence(values: np.ndarray) -> tuple[float, float]:
    """Computes the 95 % confidence interval of the mean of independent shares by Student's t.

    Fewer than three values give NaN: of two, the interval is 13 standard errors wide on either side.
    """
    if len(values) < 3:
        return float("nan"), float("nan")
    from scipy import stats

    half = float(stats.t.ppf(0.975, len(values) - 1)) * values.std(ddof=1) / np.sqrt(len(values))
    return max(float(values.mean() - half), 0.0), min(float(values.mean() + half), 1.0)


def all_equal(run: Run, epochs: int) -> bool:
    """Whether the measured trials of a rung have the same error up to rounding."""
    errors = run.budget(epochs)["error"].to_numpy(dtype=float)
    return not forests.exceeds_rounding(float(errors.var()), errors)


def one_sided(run: Run, epochs: int, share: float = 0.9) -> dict[str, str]:
    """Returns the hyperparameters for which nearly all trials of a rung have one choice, with that choice.

    Successive halving promotes the good ones: at the higher rungs a good choice may be the only one
    left, and an importance then rests on very few trials.
    """
    trials = run.budget(epochs)
    found = {}
    for name, hp in run.hyperparameters.items():
        counts = np.bincount(codes(hp, trials[name]), minlength=len(hp.choices)).tolist()
        most = max(counts)
        if len(hp.choices) > 1 and len(trials) and most >= share * len(trials):
            found[name] = f"{name}={hp.choices[counts.index(most)]} in {most} of {len(trials)}"
    return found


def crashes(run: Run) -> pd.DataFrame:
    """Counts crashes for each choice; importances leave crashed trials out.

    Returns:
        One row a choice: ``hyperparameter``, ``choice``, ``trials``, ``crashed``, ``share`` and
        ``at_least``, the lower end of Wilson's 95 % interval of the share, by which they are sorted:
        one crash in one trial says little.
    """
    from scipy import stats

    ended = run.trials[run.trials["status"].isin(["success", "crashed"]) & ~run.trials["cached"]]
    ended = ended[ended["replicate"] == 0]
    rows = []
    for name, hp in run.hyperparameters.items():
        found = codes(hp, ended[name])
        for code, choice in enumerate(hp.choices):
            status = ended.loc[found == code, "status"]
            crashed, trials = int((status == "crashed").sum()), len(status)
            wilson = stats.binomtest(crashed, trials).proportion_ci(method="wilson").low if trials else 0.0
            rows.append((name, choice, trials, crashed, crashed / max(trials, 1), float(wilson)))
    columns = ["hyperparameter", "choice", "trials", "crashed", "share", "at_least"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.sort_values("at_least", ascending=False, kind="stable").reset_index(drop=True)


def crash_reasons(run: Run) -> dict[str, list[int]]:
    """Groups crashed trials by reason; reasons that differ only in numbers are the same."""
    reasons = run.crashed["reason"].astype(str).str.replace(r"\d[\d.,]*", "N", regex=True)
    return {str(reason): [int(n) for n in part["trial"]] for reason, part in run.crashed.groupby(reasons)}
