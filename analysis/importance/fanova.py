"""Functional ANOVA: the share of the error's variance over the whole space that each choice explains.

Hutter, Hoos and Leyton-Brown, "An Efficient Approach for Assessing Hyperparameter Importance", ICML
2014; here for discrete spaces, where the marginals of a tree are exact sums over its leaves.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from analysis.importance.forest import exceeds_rounding

if TYPE_CHECKING:
    from analysis.importance.forest import Boxes, Forest


def main_effects(forest: Forest) -> np.ndarray:
    """Computes the shares of variance that single hyperparameters explain, ``(trees, hyperparameters)``.

    A tree without any split explains nothing and gives zeros.
    """
    return np.stack([_shares(tree)[0] for tree in forest.trees])


def pair_effects(forest: Forest) -> tuple[list[tuple[str, str]], np.ndarray]:
    """Computes the shares that pairs explain beyond main effects, ``(trees, pairs)``, and their names."""
    pairs = list(combinations(forest.names, 2))
    return pairs, np.stack([_pair_shares(tree) for tree in forest.trees])


def _shares(tree: Boxes) -> tuple[np.ndarray, float]:
    """Returns the shares of main effects and the total variance; both zero for a constant tree."""
    centred, total = _centred(tree)
    if total == 0:
        return np.zeros(len(tree.masks)), 0.0
    effects = [float((centred.marginal(place) ** 2).mean()) for place in range(len(tree.masks))]
    return np.clip(np.array(effects) / total, 0, 1), total


def _pair_shares(tree: Boxes) -> np.ndarray:
    centred, _ = _centred(tree)
    fractions = centred.fractions
    weights = fractions.prod(axis=0)
    mains, total = _shares(tree)
    shares = []
    for i, j in combinations(range(len(tree.masks)), 2):
        weighted = centred.values * weights / (fractions[i] * fractions[j])
        joint = (tree.masks[i] * weighted[:, None]).T @ tree.masks[j]
        effect = float((joint**2).mean())
        shares.append(effect / total - mains[i] - mains[j] if total > 0 else 0.0)
    return np.clip(shares, 0, 1)


def _centred(tree: Boxes) -> tuple[Boxes, float]:
    """Centres a tree at its mean over the space; returns it with its variance, 0 if that is only rounding.

    Centred before anything is squared: of the difference of two large squares only rounding may be left.
    """
    weights = tree.fractions.prod(axis=0)
    values = tree.values - tree.values @ weights
    total = float(values**2 @ weights)
    return replace(tree, values=values), total if exceeds_rounding(total, tree.values) else 0.0
