"""Ablation path: from one configuration to another, the most helpful change first.

Fawcett and Hoos, "Analysing differences between algorithm configurations through ablation", Journal
of Heuristics 2016; with a model's predictions in place of new trials, as in Biedenkapp et al.,
"Efficient Parameter Importance Analysis via Ablation with Surrogates", AAAI 2017.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from analysis.importance.forest import Forest


@dataclass(frozen=True)
class AblationPath:
    """The changes in the order in which they are made.

    Attributes:
        hyperparameters: The hyperparameter changed at each step.
        values: Its new value.
        errors: Predictions of every tree before the first step and after each, ``(trees, steps + 1)``.
    """

    hyperparameters: tuple[str, ...]
    values: tuple[Any, ...]
    errors: np.ndarray

    @property
    def gains(self) -> np.ndarray:
        """Decrease of the predicted error in each step, ``(trees, steps)``."""
        return -np.diff(self.errors, axis=1)


def path(forest: Forest, start: Mapping[str, Any], goal: Mapping[str, Any]) -> AblationPath:
    """Walks greedily from ``start`` to ``goal`` through the choices in which they differ."""
    current = dict(start)
    errors = [forest.predict(forest.encode([current]))[:, 0]]
    left = [name for name in forest.names if current[name] != goal[name]]
    order: list[str] = []
    while left:
        predicted = forest.predict(forest.encode([{**current, name: goal[name]} for name in left]))
        best = int(np.argmin(predicted.mean(axis=0)))
        order.append(left.pop(best))
        current[order[-1]] = goal[order[-1]]
        errors.append(predicted[:, best])
    return AblationPath(tuple(order), tuple(goal[name] for name in order), np.stack(errors, axis=1))
