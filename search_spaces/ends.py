"""The cheapest and the costliest configurations of a space that does not name them, found by sampling."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from nas.util.errors import UserError
from search_spaces.base import Hyperparameter
from search_spaces.points import CHEAPEST, COSTLIEST, cost_ends

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from search_spaces.base import Config, Parameter, SearchSpace, Value

_SAMPLE, _SEED = 64, 0
_EXTREMES = ("everything at its least", "everything at its greatest")


def find(space: SearchSpace, geometry: Any, num_classes: int, in_chans: int, side: int) -> dict[str, Config]:
    """Finds the cheapest and costliest configurations: those named, or among points, corners and a sample.

    The order is by multiply-accumulates. Networks are built on the meta device, which computes nothing; those
    that cannot be built are left out.

    Args:
        space: The space.
        geometry: Geometry of the networks.
        num_classes: Number of classes.
        in_chans: Number of image channels.
        side: Height and width of the images, pixels.

    Returns:
        ``cheapest`` and ``costliest``; the default for both if nothing could be built.
    """
    import torch

    from nas.util.counts import count

    named = cost_ends(space)
    if len(named) == 2:
        return named
    costs: list[tuple[int, int, int, Config]] = []
    extremes = [config for label, config in corners(space) if label in _EXTREMES]
    tried = [*space.points.values(), *extremes, *space.sample(_SAMPLE, _SEED)]
    for place, config in enumerate(tried):
        with contextlib.suppress(Exception), torch.device("meta"):  # a user's space may raise anything
            stats = count(space.network(config, geometry, num_classes, in_chans), side, in_chans)
            costs.append((stats.macs, stats.params, place, config))
    ends = {CHEAPEST: min(costs)[3], COSTLIEST: max(costs)[3]} if costs else {}
    return {name: named.get(name) or ends.get(name) or space.default for name in (CHEAPEST, COSTLIEST)}


def corners(space: SearchSpace) -> Iterator[tuple[str, Config]]:
    """Yields configurations at the edges of a space, each with a description.

    They are all hyperparameters at their least, all at their greatest, and the default with one of them
    changed to each choice or to the ends of its range, where that is allowed. A hyperparameter that is
    inactive in the default is changed in a point or a random configuration in which it is active.
    """
    values = {name: _ends(hp) for name, hp in space.hyperparameters.items()}
    for label, place in zip(_EXTREMES, (0, -1), strict=True):
        with contextlib.suppress(UserError):  # a rule; so below
            yield label, completed(space, {name: ends[place] for name, ends in values.items()})
    bases = [space.default, *space.points.values(), *space.sample(_SAMPLE, _SEED)]
    for name, ends in values.items():
        base = next((config for config in bases if name in config), {})
        for value in ends if base else ():
            with contextlib.suppress(UserError):
                yield f"{name}={value}", completed(space, {**base, name: value})


def completed(space: SearchSpace, values: Mapping[str, Any]) -> Config:
    """Completes values to a configuration: defaults for the rest, inactive hyperparameters left out.

    Raises:
        UserError: If there is no such configuration.
    """
    hps = space.hyperparameters.items()
    every = {name: hp.canonical(values.get(name, hp.default)) for name, hp in hps}
    unknown = {name: value for name, value in values.items() if name not in every}
    return space.validate({**(space.rules.active(every) if space.rules else every), **unknown})


def _ends(hp: Parameter) -> tuple[Value, ...]:
    return hp.choices if isinstance(hp, Hyperparameter) else (hp.lower, hp.upper)
