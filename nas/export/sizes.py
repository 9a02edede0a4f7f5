"""The size of the exported network: a full size of its space, that of the search, or scaled to a cost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import search_spaces
from nas.util.errors import SettingError, UserError, setting
from nas.util.quantities import parse_count
from search_spaces.sizes import FULL_SIZE, IMAGE_SIZE, USUAL_SIZE, WIDTH, at_size

if TYPE_CHECKING:
    from nas.export.source import Source
    from search_spaces.base import Config, SearchSpace

REDUCED = "reduced"

_WIDEST = 64.0  # times the given widths, the upper limit of scaling


@dataclass(frozen=True)
class Size:
    """The size of a network.

    Attributes:
        geometry: The geometry that its space builds.
        image_size: Height and width of the images, pixels.
        reduced: Whether it is the size of the search.
        written: Plain values that give the geometry again, see :func:`search_spaces.sizes.sized`; a geometry
            from a file has no full size or width among them.
    """

    geometry: Any
    image_size: int
    reduced: bool
    written: dict[str, Any]


def find(name: str | None, source: Source, image_size: int | None = None) -> Size:
    """Finds the size that a user names.

    Args:
        name: A full size of the space, ``reduced`` (that of the search) or a JSON or YAML file of a geometry;
            None for the space's first full size.
        source: The configuration to export; only that of a run has a reduced geometry.
        image_size: Height and width of the images in pixels, instead of the geometry's.

    Raises:
        UserError: If there is no such size, or the file holds no geometry.
    """
    space = search_spaces.get(source.space)
    if name is None:
        name = next(iter(space.full_sizes), None if source.reduced is None else REDUCED)
        if name is None:
            asked = setting("geometry", REDUCED)
            raise UserError(f"{space.name} has no full_sizes; export a run of it, with {asked}")
    written: dict[str, Any] = {}
    reduced = name == REDUCED and source.reduced is not None
    if reduced:
        geometry, written = source.reduced, {WIDTH: source.width}
    elif name in space.full_sizes:
        geometry, written = space.full_sizes[name], {FULL_SIZE: name}
    elif name != REDUCED and Path(name).is_file():
        geometry = space.exporting.read_geometry(Path(name))
    else:
        raise _unknown(name, source, space)
    side = image_size or getattr(geometry, IMAGE_SIZE, None) or USUAL_SIZE
    return Size(at_size(geometry, image_size), side, reduced, {**written, IMAGE_SIZE: side})


def _unknown(name: str, source: Source, space: SearchSpace) -> SettingError:
    names = ", ".join([*space.full_sizes, *([] if source.reduced is None else [REDUCED])])
    if name == REDUCED:
        has = f"{space.name} has {names}" if names else f"{space.name} has no full_sizes either"
        return SettingError("geometry", name, f"only the export of a run has it; {has}")
    return SettingError("geometry", name, f"no such file; must be {names or 'a run of it'}, or a file")


def match_macs(space: SearchSpace, config: Config, size: Size, macs: str, num_classes: int) -> Size:
    """Scales all widths by one factor until the network has the requested cost.

    Args:
        space: The search space.
        config: A configuration of it.
        size: The size to scale; its depths and image size are kept.
        macs: Multiply-accumulates of one image, as :mod:`nas.util.counts` counts them, such as ``4.5G``.
        num_classes: Number of classes.

    Returns:
        The size with the nearest cost.

    Raises:
        UserError: If even the narrowest or widest network is more than a tenth off, or the space's networks
            cannot be scaled.
    """
    target = parse_count(macs, "match_macs")
    scaled = space.exporting.scaled

    def cost(geometry: Any) -> int:
        import torch

        from nas.util.counts import count

        with torch.device("meta"):
            return count(space.network(config, geometry, num_classes), size.image_size).macs

    low, high = 0.0, 1.0
    while cost(scaled(size.geometry, high)) < target and high < _WIDEST:
        low, high = high, 2 * high
    candidates = {scaled(size.geometry, factor) for factor in (low, high)}
    while len(candidates) > 1 and high - low > 1 / 2048:
        middle = (low + high) / 2
        if cost(scaled(size.geometry, middle)) < target:
            low = middle
        else:
            high = middle
        candidates = {scaled(size.geometry, factor) for factor in (low, high)}
    costs = {candidate: cost(candidate) for candidate in candidates}
    best = min(costs, key=lambda candidate: abs(costs[candidate] - target))
    if abs(costs[best] - target) > target / 10:
        raise SettingError(
            "match_macs",
            f"{target:.3g}",
            f"nearest to it is {costs[best]:.3g}; choose another geometry or input size",
        )
    return replace(size, geometry=best)
