"""Local parameter importance: the effect of changing one choice of the best configuration on its error.

Biedenkapp, Marben, Lindauer and Hutter, "CAVE: Configuration Assessment, Visualization and
Evaluation", LION 2018, with the best configuration among the values compared. DeepCAVE 1.4.1 leaves
it out of the variance: of a hyperparameter with two choices one value is then left, and its
importance is always exactly 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analysis.importance.forest import exceeds_rounding
from analysis.levels import active

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from analysis.importance.forest import Forest


def importances(forest: Forest, centre: Mapping[str, Any]) -> np.ndarray:
    """Computes the shares of the error's variance around a configuration, ``(trees, hyperparameters)``.

    For each hyperparameter: the variance of the predictions over all its choices, the others kept as
    in ``centre``; divided by the sum of these variances. A tree that predicts the same for all of
    them says nothing and gives zeros.

    Args:
        forest: A forest fitted to the trials of one rung.
        centre: The configuration, usually the best of that rung.
    """
    (base,) = forest.encode([centre])
    predictions = [
        forest.predict(_neighbours(base, place, active(hp)))
        for place, hp in enumerate(forest.hyperparameters)
    ]
    variances = np.stack([predicted.var(axis=1) for predicted in predictions], axis=1)
    sums = variances.sum(axis=1, keepdims=True)
    told = np.array(
        [[exceeds_rounding(total, tree.values)] for total, tree in zip(sums[:, 0], forest.trees, strict=True)]
    )
    return np.divide(variances, sums, out=np.zeros_like(variances), where=told)


def _neighbours(base: np.ndarray, place: int, choices: int) -> np.ndarray:
    """Returns the configuration with every choice of one hyperparameter; unchanged if that is inactive."""
    if base[place] >= choices:
        return base[None]
    rows = np.repeat(base[None], choices, axis=0)
    rows[:, place] = np.arange(choices)
    return rows
