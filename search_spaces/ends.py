"""The cheapest and the costliest configurations of a space that does not name them, found by sampling."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from nas.util.errors import UserError
from search_spaces.base import Hyperparameter, cost_ends

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from search_spaces.base import Config, Parameter, SearchSpace, Value

_SAMPLE, _SEED = 64, 0
_EXTREMES = ("everything at its least", "everything at its greatest")
CHEAPEST, COSTLIEST = "cheapest", "costliest"


def find(space: SearchSpace, geometry: Any, num_classes: int, in_chans: int, side: int) -> dict[str, Config]:
    """The named ends of cost, or by multiply-accumulates those of points, corners and 64 random ones.

    Networks are built on the meta device, which computes nothing. A configuration that cannot be built is
    passed over.

    Args:
        space: The space.
        geometry: Of the networks.
        num_classes: Width of the classifier.
        in_chans: Image channels.
        side: Height and width of the images, pixels.

    Returns:
        ``cheapest`` and ``costliest``; the default for both if nothing could be built.
    """
    import torch

    from nas.util.counts import count

    named = cost_ends(space.points)
    if len(named) == 2:
        return named
    costs: list[tuple[int, int, int, Config]] = []
    extremes = [config for label, config in corners(space) if label in _EXTREMES]
    tried = [*space.points.values(), *extremes, *space.sample(_SAMPLE, _SEED)]
    for place, config in enumerate(tried):
        with contextlib.suppress(Exception), torch.device("meta"):  # whatever a user's builder raises
            stats = count(space.network(config, geometry, num_classes, in_chans), side, in_chans)
            costs.append((stats.macs, stats.params, place, config))
    ends = {CHEAPEST: min(costs)[3], COSTLIEST: max(costs)[3]} if costs else {}
    return {name: named.get(name) or ends.get(name) or space.default for name in (CHEAPEST, COSTLIEST)}


def corners(space: SearchSpace) -> Iterator[tuple[str, Config]]:
    """All at their least and all at their greatest, and the default with one hyperparameter changed.

    To each of its choices, or the ends of its range; where that is allowed. One that the default has no
    place for is changed in a point or a random configuration that has. Each with what it is, in words.
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
    """A configuration of these values, without those they make inactive, and defaults for the rest.

    Raises:
        UserError: If there is none.
    """
    hps = space.hyperparameters.items()
    every = {name: hp.canonical(values.get(name, hp.default)) for name, hp in hps}
    unknown = {name: value for name, value in values.items() if name not in every}
    return space.validate({**(space.rules.active(every) if space.rules else every), **unknown})


def _ends(hp: Parameter) -> tuple[Value, ...]:
    return hp.choices if isinstance(hp, Hyperparameter) else (hp.lower, hp.upper)
