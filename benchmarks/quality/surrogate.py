"""A surrogate of the ``nexception`` space: learning curves of all configurations from some trainings.

``python -m benchmarks.quality.surrogate`` cross-validates the models that may serve and prints how well
each ranks configurations it has not seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

import search_spaces
from search_spaces.base import config_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from search_spaces.base import Config

    Array = NDArray[np.float32]

TABLE = Path(__file__).parent / "nexception_table.parquet"
Model = Literal["pairs", "forest", "boosting"]
MODELS: tuple[Model, ...] = ("pairs", "forest", "boosting")
_FOLDS = 10
_PENALTIES = np.logspace(-1, 3, 17)
_COMPONENTS = 4


@dataclass(frozen=True)
class Curves:
    """Learning curves of some configurations, trained or predicted.

    Attributes:
        configs: The configurations.
        curves: Error after each epoch, mean over seeds, ``(N, E)``.
        seconds: Time of an epoch, ``(N,)``, NaN where it was not measured.
        noise: Differences between the curves of two seeds, scaled to the noise of one, ``(M, E)``.
    """

    configs: list[Config]
    curves: Array
    seconds: Array
    noise: Array

    @cached_property
    def index(self) -> dict[str, int]:
        """Where a configuration stands, by its id."""
        return {config_id(config): i for i, config in enumerate(self.configs)}


def trainings(frame: pd.DataFrame, part: str = "table") -> Curves:
    """Takes a part of the table apart; configurations that diverged are left out."""
    space = search_spaces.get("nexception")
    frame = frame[frame.part == part]
    wide = frame.pivot(index=["config_id", "seed"], columns="epoch", values="error").dropna()
    means = wide.groupby(level="config_id").mean()
    configs = {}
    for row in frame.drop_duplicates("config_id").to_dict("records"):
        values = {name: row[name] for name in space.hyperparameters}
        configs[row["config_id"]] = space.validate(values)
    epochs = frame.epoch.max()
    seconds = frame[frame.epoch == epochs].groupby("config_id").seconds.mean() / epochs
    pairs = [
        (wide.loc[name, 0] - wide.loc[name, 1]).to_numpy() / np.sqrt(2)
        for name in means.index
        if (name, 0) in wide.index and (name, 1) in wide.index
    ]
    return Curves(
        [configs[name] for name in means.index],
        means.to_numpy(np.float32),
        seconds.loc[means.index].to_numpy(np.float32),
        np.array(pairs, np.float32).reshape(len(pairs), wide.shape[1]),
    )


def fit(data: Curves, model: Model = "pairs") -> Curves:
    """Fits curves and seconds, and answers for the whole space."""
    configs = list(search_spaces.get("nexception").enumerate())
    curves = predict(model, data.configs, data.curves, configs)
    timed = np.flatnonzero(np.isfinite(data.seconds))
    known = [data.configs[i] for i in timed]
    seconds = np.exp(predict("pairs", known, np.log(data.seconds[timed])[:, None], configs)[:, 0])
    return Curves(configs, curves, seconds, data.noise)


def predict(model: Model, configs: Sequence[Config], targets: Array, others: Sequence[Config]) -> Array:
    """Learns ``targets`` ``(n, K)`` of ``configs``; gives those of ``others`` ``(m, K)``.

    ``pairs`` is a ridge regression on all choices and all pairs of choices, which is a Gaussian process
    with an additive and a pairwise kernel; its penalty is chosen by generalised cross-validation.
    """
    if model == "pairs":
        return _pairs(configs, targets, others)
    from sklearn.decomposition import PCA
    from sklearn.ensemble import ExtraTreesRegressor, GradientBoostingRegressor

    X, Z = _one_hot(configs), _one_hot(others)
    if model == "forest":
        forest = ExtraTreesRegressor(500, min_samples_leaf=2, max_features=0.5, random_state=0)
        return forest.fit(X, targets).predict(Z).reshape(len(Z), -1).astype(np.float32)
    basis = PCA(min(_COMPONENTS, *targets.shape)).fit(targets)
    boosters = [
        GradientBoostingRegressor(
            n_estimators=200, max_depth=3, learning_rate=0.05, subsample=0.7, random_state=0
        )
        for _ in range(basis.n_components_)
    ]
    scores = [b.fit(X, y).predict(Z) for b, y in zip(boosters, basis.transform(targets).T, strict=True)]
    return basis.inverse_transform(np.column_stack(scores)).astype(np.float32)


def cross_validate(data: Curves, model: Model) -> dict[str, float]:
    """Evaluates a model on held-out configurations: rank correlation and error at the last epoch."""
    order = np.random.default_rng(0).permutation(len(data.configs))
    found = np.zeros(len(order))
    for fold in range(_FOLDS):
        out = order[fold::_FOLDS]
        rest = np.setdiff1d(order, out)
        learnt = [data.configs[i] for i in rest]
        found[out] = predict(model, learnt, data.curves[rest], [data.configs[i] for i in out])[:, -1]
    true = data.curves[:, -1]
    return {
        "spearman": float(pd.Series(found).corr(pd.Series(true), method="spearman")),
        "r2": float(1 - np.var(true - found) / np.var(true)),
        "rmse": float(np.sqrt(np.mean((true - found) ** 2))),
        "noise_sd": float(np.sqrt(np.mean(data.noise[:, -1] ** 2))) if len(data.noise) else np.nan,
    }


def _one_hot(configs: Sequence[Config]) -> Array:
    space = search_spaces.get("nexception")
    columns = [
        [config[name] == choice for config in configs]
        for name, hyperparameter in space.hyperparameters.items()
        for choice in hyperparameter.choices
    ]
    return np.array(columns, np.float32).T


def _pairs(configs: Sequence[Config], targets: Array, others: Sequence[Config]) -> Array:
    from sklearn.linear_model import RidgeCV

    X, Z = _one_hot(configs), _one_hot(others)
    ridge = RidgeCV(_PENALTIES).fit(_with_pairs(X), targets)
    return np.asarray(ridge.predict(_with_pairs(Z)), np.float32).reshape(len(Z), -1)


def _with_pairs(X: Array) -> Array:
    space = search_spaces.get("nexception")
    sizes = [len(h.choices) for h in space.hyperparameters.values()]
    starts = np.cumsum([0, *sizes])
    blocks = [X[:, a:b] for a, b in pairwise(starts)]
    pairs = [(a[:, :, None] * b[:, None, :]).reshape(len(X), -1) for a, b in combinations(blocks, 2)]
    return np.concatenate([X, *pairs], axis=1)


def main() -> None:
    """Prints the cross-validation."""
    data = trainings(pd.read_parquet(TABLE))
    rows: dict[str, Any] = {model: cross_validate(data, model) for model in MODELS}
    print(f"{len(data.configs)} configurations, {len(data.noise)} with a second seed")
    print(pd.DataFrame(rows).T.round(4).to_string())


if __name__ == "__main__":
    main()
