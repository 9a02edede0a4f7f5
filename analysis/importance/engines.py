"""Engines that compute scores: our forest, or DeepCAVE's evaluators in their separate environment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.importance import ablation, fanova, forest, lpi
from search_spaces.base import Hyperparameter

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from analysis.frames import Run
    from search_spaces.base import Config

Names = tuple[str, ...]  # one hyperparameter, or a pair

# With more trials, DeepCAVE's evaluators get a random part: at 1,000 trials and 64 trees its pairs took 19 s
# and its main effects 2 s (measured on a busy 2-core AMD EPYC (Zen 4), 2026-11-23).
MOST_TRIALS = {"lpi": 1000, "fanova": 1000, "fanova_pairs": 500, "ablation": 1000}


@dataclass(frozen=True)
class Scores:
    """The scores of one method at one rung.

    Attributes:
        method: ``lpi``, ``lpi_stock``, ``fanova``, ``fanova_pairs`` or ``ablation``.
        engine: ``local`` or ``deepcave``.
        names: The hyperparameters or pairs; of a path, in its order.
        mean: Score of each: a share of the variance, for ablation the decrease of the error.
        std: Standard deviation over the forest's trees.
        errors: For ablation: predicted error before the first step and after each.
    """

    method: str
    engine: str
    names: tuple[Names, ...]
    mean: np.ndarray
    std: np.ndarray
    errors: np.ndarray | None = None


def fit(run: Run, trials: pd.DataFrame, *, trees: int, seed: int) -> forest.Forest:
    """Fits a forest to trials of one or more rungs.

    Trials of several rungs give one forest that has the epochs as an input, read at the most
    epochs: good choices are promoted, bad ones are not, so what the low rungs saw of the bad ones
    has to count at the high ones.

    Args:
        run: The run.
        trials: Some of its measured trials, possibly with repetitions.
        trees: Number of trees.
        seed: Seed of the forest.
    """
    budgets = tuple(int(epochs) for epochs in sorted(trials["epochs"].unique()))
    epochs = Hyperparameter("epochs", budgets, budgets[0], meaning="", source="", ordinal=True)
    space = {**run.hyperparameters, "epochs": epochs}
    return forest.fit(trials, space, n_trees=trees, seed=seed).at("epochs", budgets[-1])


def local(run: Run, trials: pd.DataFrame, centre: Config, *, trees: int, seed: int) -> dict[str, Scores]:
    """Computes the scores of every method by scikit-learn's forest, fitted like :func:`fit`.

    Args:
        run: The run.
        trials: Some of its measured trials, possibly with repetitions.
        centre: The configuration that LPI and ablation examine.
        trees: Number of trees.
        seed: Seed of the forest.
    """
    fitted = fit(run, trials, trees=trees, seed=seed)
    single = tuple((name,) for name in fitted.names)
    pairs, pair_shares = fanova.pair_effects(fitted)
    path = ablation.path(fitted, run.default, centre)
    steps = tuple((name,) for name in path.hyperparameters)
    return {
        "lpi": _over_trees("lpi", single, lpi.importances(fitted, centre)),
        "fanova": _over_trees("fanova", single, fanova.main_effects(fitted)),
        "fanova_pairs": _over_trees("fanova_pairs", tuple(pairs), pair_shares),
        "ablation": _over_trees("ablation", steps, path.gains, path.errors.mean(axis=0)),
    }


def _over_trees(
    method: str, names: tuple[Names, ...], values: np.ndarray, errors: np.ndarray | None = None
) -> Scores:
    return Scores(method, "local", names, values.mean(axis=0), values.std(axis=0), errors)


def deepcave(
    run: Run, budgets: Sequence[int], centre: int, *, trees: int, seed: int
) -> dict[int, dict[str, Scores]]:
    """Computes scores by DeepCAVE's evaluators, rung by rung; its LPI is named ``lpi_stock``.

    Args:
        run: The run.
        budgets: Epochs of the rungs.
        centre: Number of the trial whose configuration LPI and ablation examine.
        trees: Number of trees of DeepCAVE's forests.
        seed: Seed of these forests, and of the draw where there are too many trials.

    Raises:
        UserError: If DeepCAVE's environment cannot be built.
    """
    from analysis.deepcave import bridge

    requests: list[dict[str, Any]] = [
        {
            "method": method,
            "budget": epochs,
            "trees": trees,
            "seed": seed,
            "trials": sample(run, epochs, most, seed),
            "incumbent": centre,
        }
        for epochs in budgets
        for method, most in MOST_TRIALS.items()
    ]
    found: dict[int, dict[str, Scores]] = {epochs: {} for epochs in budgets}
    for request, answer in zip(requests, bridge.evaluate(run.path, requests), strict=True):
        if "error" not in answer:
            scores = _read(answer, run, run.config(centre))
            found[request["budget"]][scores.method] = scores
    return found


def sample(run: Run, epochs: int, most: int, seed: int) -> list[int]:
    """Returns the numbers of a rung's measured trials, a random part if there are more than ``most``."""
    numbers = run.budget(epochs)["trial"]
    if len(numbers) > most:
        numbers = numbers.sample(most, random_state=seed)
    return sorted(int(number) for number in numbers)


def _read(answer: dict[str, Any], run: Run, centre: Config) -> Scores:
    if answer["method"] == "ablation":
        return _read_path(answer["values"], run, centre)
    method = "lpi_stock" if answer["method"] == "lpi" else answer["method"]
    order = list(run.hyperparameters).index
    names = tuple(tuple(sorted(key.split(" x "), key=order)) for key in answer["values"])
    values = np.array(list(answer["values"].values()), dtype=float)
    return Scores(method, "deepcave", names, np.clip(values[:, 0], 0, 1), values[:, 1])


def _read_path(path: list[list[Any]], run: Run, centre: Config) -> Scores:
    """Removes the steps without a change, which DeepCAVE lists for choices that both ends share."""
    kept = [path[0], *(step for step in path[1:] if run.default[step[0]] != centre[step[0]])]
    errors = np.array([step[1] for step in kept], dtype=float)
    stds = np.array([step[2] for step in kept], dtype=float)
    return Scores(
        "ablation",
        "deepcave",
        tuple((step[0],) for step in kept[1:]),
        -np.diff(errors),
        np.sqrt(stds[1:] ** 2 + stds[:-1] ** 2),
        errors,
    )
