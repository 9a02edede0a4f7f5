"""A space of 30 hyperparameters of every kind, more than 10^12 configurations without its floats, to time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ConfigSpace import Categorical, ConfigurationSpace, Float, InCondition, Integer

from search_spaces.base import SearchSpace

if TYPE_CHECKING:
    from torch import nn


def wide(floats: bool) -> ConfigurationSpace:
    """Builds eight groups of a category, an integer conditional on it and a float; and six ordinals.

    Args:
        floats: Whether to include the floats; if not, as many more ordinals replace them.
    """
    space = ConfigurationSpace()
    for number in range(8):
        choice = Categorical(f"choice{number}", ("a", "b", "c", "d"))
        child = Integer(f"whole{number}", (1, 40))
        space.add(choice, child)
        space.add(InCondition(child, choice, ["a", "b"]))
        if floats:
            space.add(Float(f"number{number}", (1e-4, 1.0), log=True))
        else:
            space.add(Categorical(f"more{number}", (1, 2, 3), ordered=True))
        if number < 6:
            space.add(Categorical(f"scale{number}", (1, 2, 3, 5, 8), ordered=True))
    return space


class Wide(SearchSpace):
    """30 hyperparameters with floats and conditions."""

    space = wide(floats=True)

    def build(self, config: Any) -> nn.Module:
        """Nothing is built to time an optimiser."""
        raise NotImplementedError


class Finite(SearchSpace):
    """The same without floats, so its size is finite."""

    space = wide(floats=False)

    def build(self, config: Any) -> nn.Module:
        """Nothing is built to time an optimiser."""
        raise NotImplementedError
