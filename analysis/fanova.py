"""Functional ANOVA: the share of the error's variance over the whole space that each choice explains.

Hutter, Hoos and Leyton-Brown, "An Efficient Approach for Assessing Hyperparameter Importance", ICML
2014; here for discrete spaces, where the marginals of a tree are exact sums over its leaves.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from analysis.forest import Boxes, Forest


def main_effects(forest: Forest) -> np.ndarray:
    """Shares of the variance that single hyperparameters explain, ``(trees, hyperparameters)``.

    A tree without any split explains nothing and gives zeros.
    """
    return np.stack([_shares(tree)[0] for tree in forest.trees])


def pair_effects(forest: Forest) -> tuple[list[tuple[str, str]], np.ndarray]:
    """Shares that pairs explain beyond their two main effects, ``(trees, pairs)``, and the pairs' names."""
    pairs = list(combinations(forest.names, 2))
    return pairs, np.stack([_pair_shares(tree) for tree in forest.trees])


def _shares(tree: Boxes) -> tuple[np.ndarray, float, float]:
    """Main effects' shares, the mean over the space and the total variance."""
    weights = tree.fractions.prod(axis=0)
    mean = float(tree.values @ weights)
    total = float((tree.values - mean) ** 2 @ weights)
    effects = [float((tree.marginal(place) ** 2).mean()) - mean**2 for place in range(len(tree.masks))]
    shares = np.clip(effects, 0, None) / total if total > 0 else np.zeros(len(effects))
    return shares, mean, total


def _pair_shares(tree: Boxes) -> np.ndarray:
    fractions = tree.fractions
    weights = fractions.prod(axis=0)
    mains, mean, total = _shares(tree)
    shares = []
    for i, j in combinations(range(len(tree.masks)), 2):
        weighted = tree.values * weights / (fractions[i] * fractions[j])
        joint = (tree.masks[i] * weighted[:, None]).T @ tree.masks[j]
        effect = float((joint**2).mean()) - mean**2
        shares.append(max(effect / total - mains[i] - mains[j], 0.0) if total > 0 else 0.0)
    return np.array(shares)
