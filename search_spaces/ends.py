"""The cheapest and the dearest configurations of a space that does not name them, found by sampling."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import torch

from nas.util.counts import count
from nas.util.errors import UserError
from search_spaces.base import Hyperparameter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from search_spaces.base import Config, Parameter, SearchSpace, Value

_SAMPLE, _SEED = 64, 0
_EXTREMES = ("everything at its least", "everything at its greatest")
CHEAPEST, DEAREST = "cheapest", "dearest"


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
        ``cheapest`` and ``dearest``; the default for both if nothing could be built.
    """
    named = {name: config for name, config in space.points.items() if name in (CHEAPEST, DEAREST)}
    if len(named) == 2:
        return named
    costs: list[tuple[int, int, int, Config]] = []
    extremes = [config for label, config in corners(space) if label in _EXTREMES]
    tried = [*space.points.values(), *extremes, *space.sample(_SAMPLE, _SEED)]
    for place, config in enumerate(tried):
        with contextlib.suppress(Exception), torch.device("meta"):  # whatever a user's builder raises
            stats = count(space.network(config, geometry, num_classes, in_chans), side, in_chans)
            costs.append((stats.macs, stats.params, place, config))
    ends = {CHEAPEST: min(costs)[3], DEAREST: max(costs)[3]} if costs else {}
    return {name: named.get(name) or ends.get(name) or space.default for name in (CHEAPEST, DEAREST)}


def corners(space: SearchSpace) -> Iterator[tuple[str, Config]]:
    """All at their least and all at their greatest, and the default with one hyperparameter changed.

    To each of its choices, or the ends of its range; where that is allowed. Each with what it is, in words.
    """
    values = {name: _ends(hp) for name, hp in space.hyperparameters.items()}
    for label, place in zip(_EXTREMES, (0, -1), strict=True):
        with contextlib.suppress(UserError):  # a rule; so below
            yield label, space.validate({name: ends[place] for name, ends in values.items()})
    for name, ends in values.items():
        for value in ends:
            with contextlib.suppress(UserError):
                yield f"{name}={value}", space.validate({**space.default, name: value})


def _ends(hp: Parameter) -> tuple[Value, ...]:
    return hp.choices if isinstance(hp, Hyperparameter) else (hp.lower, hp.upper)
