"""A random forest over a discrete search space, each tree as a list of boxes.

In a space where every hyperparameter has finitely many choices, a leaf of a regression tree is a box:
for each hyperparameter a set of choices. Sums over the whole space then are sums over leaves, exact
and cheap, whatever the size of the space.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis.levels import codes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from search_spaces.base import Hyperparameter

TREES = 64
MOST_LEAVES = 1000  # about; a full tree of 10,000 trials has thousands, slow and fitted to noise


_ROUNDING = 1e-9  # of the largest value: errors are shares of counted images and differ by far more


def exceeds_rounding(variance: float, values: np.ndarray) -> bool:
    """Whether a variance of values is more than the rounding of equal ones.

    Args:
        variance: Variance of the values, or of means of them.
        values: The values before anything was subtracted, of any shape.
    """
    return variance > (_ROUNDING * float(np.abs(values).max(initial=0.0))) ** 2


@dataclass(frozen=True)
class Boxes:
    """One tree: ``L`` leaves.

    Attributes:
        values: Prediction of each leaf, ``(L,)``.
        masks: For each hyperparameter the choices that a leaf contains, ``(L, choices)``, bool.
    """

    values: np.ndarray
    masks: tuple[np.ndarray, ...]

    @property
    def fractions(self) -> np.ndarray:
        """Share of each hyperparameter's choices in each leaf, ``(hyperparameters, L)``."""
        return np.stack([mask.mean(axis=1) for mask in self.masks])

    def marginal(self, place: int) -> np.ndarray:
        """Returns the mean prediction for each choice of one hyperparameter over all values of the others."""
        fractions = self.fractions
        weights = fractions.prod(axis=0) / fractions[place]
        return (self.values * weights) @ self.masks[place]

    def at(self, place: int, code: int) -> Boxes:
        """Restricts the tree to one choice of a hyperparameter, which is then removed."""
        kept = self.masks[place][:, code]
        rest = self.masks[:place] + self.masks[place + 1 :]
        return Boxes(self.values[kept], tuple(mask[kept] for mask in rest))

    def predict(self, codes: np.ndarray) -> np.ndarray:
        """Predicts configurations given as choice numbers, ``(N, hyperparameters)`` to ``(N,)``."""
        inside = np.ones((len(codes), len(self.values)), dtype=bool)
        for mask, column in zip(self.masks, codes.T, strict=True):
            inside &= mask[:, column].T
        return self.values[inside.argmax(axis=1)]


@dataclass(frozen=True)
class Forest:
    """A fitted forest over the hyperparameters that have more than one choice."""

    hyperparameters: tuple[Hyperparameter, ...]
    trees: tuple[Boxes, ...]

    @property
    def names(self) -> list[str]:
        """Names of the hyperparameters, in the order of the masks."""
        return [hp.name for hp in self.hyperparameters]

    def at(self, name: str, choice: Any) -> Forest:
        """Restricts the forest to one choice of a hyperparameter; itself if that never varied."""
        if name not in self.names:
            return self
        place = self.names.index(name)
        code = self.hyperparameters[place].choices.index(choice)
        rest = self.hyperparameters[:place] + self.hyperparameters[place + 1 :]
        return Forest(rest, tuple(tree.at(place, code) for tree in self.trees))

    def predict(self, codes: np.ndarray) -> np.ndarray:
        """Predicts with every tree, ``(trees, N)``, for choice numbers ``(N, hyperparameters)``."""
        return np.stack([tree.predict(codes) for tree in self.trees])

    def encode(self, configs: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Converts configurations to choice numbers, ``(N, hyperparameters)``."""
        rows = pd.DataFrame([dict(config) for config in configs], dtype=object)
        return encode(rows, self.hyperparameters)


def encode(configs: pd.DataFrame, hyperparameters: Sequence[Hyperparameter]) -> np.ndarray:
    """Returns the choice numbers, one row per configuration and one column per hyperparameter."""
    return np.stack([codes(hp, configs[hp.name]) for hp in hyperparameters], axis=1)


def fit(
    trials: pd.DataFrame,
    hyperparameters: Mapping[str, Hyperparameter],
    *,
    n_trees: int = TREES,
    seed: int = 0,
) -> Forest:
    """Fits a forest to the errors of successful trials.

    Ordinal hyperparameters are split by their order, the others choice by choice. Every tree sees a
    bootstrap sample and, at each split, five sixths of the columns, as SMAC's own forest does.

    Args:
        trials: Rows with an ``error`` and one column per hyperparameter; rows may repeat.
        hyperparameters: The space; those with one choice are left out.
        n_trees: Number of trees.
        seed: Seed of the bootstrap samples and splits.
    """
    from sklearn.ensemble import RandomForestRegressor

    varied = tuple(hp for hp in hyperparameters.values() if len(hp.choices) > 1)
    numbers = encode(trials, varied)
    columns = _columns(varied)
    model = RandomForestRegressor(
        n_estimators=n_trees,
        max_features=5 / 6,
        min_samples_leaf=max(1, len(trials) // MOST_LEAVES),
        random_state=seed,
    )
    model.fit(_features(numbers, columns), trials["error"].to_numpy())
    sizes = [len(hp.choices) for hp in varied]
    return Forest(varied, tuple(_boxes(tree.tree_, columns, sizes) for tree in model.estimators_))


def _columns(hyperparameters: Sequence[Hyperparameter]) -> list[tuple[int, int | None]]:
    """Returns the columns of the forest: a hyperparameter's order, or whether it has a certain choice."""
    columns: list[tuple[int, int | None]] = []
    for place, hp in enumerate(hyperparameters):
        by_order = hp.ordinal or len(hp.choices) == 2
        columns += [(place, None)] if by_order else [(place, code) for code in range(len(hp.choices))]
    return columns


def _features(codes: np.ndarray, columns: Sequence[tuple[int, int | None]]) -> np.ndarray:
    return np.stack(
        [codes[:, place] if code is None else codes[:, place] == code for place, code in columns], axis=1
    ).astype(np.float32)


def _boxes(tree: Any, columns: Sequence[tuple[int, int | None]], sizes: Sequence[int]) -> Boxes:
    """Walks a scikit-learn tree from the root; every split narrows one mask."""
    values: list[float] = []
    leaves: list[list[np.ndarray]] = []
    stack = [(0, [np.ones(size, dtype=bool) for size in sizes])]
    while stack:
        node, masks = stack.pop()
        if tree.children_left[node] < 0:
            values.append(float(tree.value[node, 0, 0]))
            leaves.append(masks)
            continue
        place, code = columns[tree.feature[node]]
        choices = np.arange(sizes[place])
        below = choices <= tree.threshold[node] if code is None else choices != code
        for child, side in ((tree.children_left[node], below), (tree.children_right[node], ~below)):
            stack.append((child, [*masks[:place], masks[place] & side, *masks[place + 1 :]]))
    return Boxes(np.array(values), tuple(np.array(column) for column in zip(*leaves, strict=True)))
