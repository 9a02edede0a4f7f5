"""Geometries as plain values, for config.json: a full size's name or a reduced width, and the image size."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from nas.util.errors import SettingError, UserError

if TYPE_CHECKING:
    from search_spaces.base import SearchSpace

FULL_SIZE, WIDTH, IMAGE_SIZE = "full_size", "width", "image_size"
USUAL_SIZE = 224  # pixels, for a geometry that names no image size


def sized(space: SearchSpace, geometry: Any) -> Any:
    """A geometry from plain values: a full size's name or a reduced width, and the size of the images.

    Raises:
        UserError: If the space has none such.
    """
    if not isinstance(geometry, dict) or type(geometry.get(IMAGE_SIZE)) is not int:
        raise UserError(f"geometry: must have {IMAGE_SIZE}, and {FULL_SIZE} or {WIDTH}, not {geometry!r}")
    if FULL_SIZE not in geometry:
        return space.reduced(geometry.get(WIDTH, 0), geometry[IMAGE_SIZE])
    name = geometry[FULL_SIZE]
    if name not in space.full_sizes:
        raise UserError(
            f"geometry {name!r}: {space.name} has {', '.join(space.full_sizes) or 'no full sizes'}"
        )
    return at_size(space.full_sizes[name], geometry[IMAGE_SIZE])


def at_size(geometry: Any, image_size: int | None) -> Any:
    """A geometry for images of another size.

    Raises:
        UserError: If it cannot be changed.
    """
    own = getattr(geometry, IMAGE_SIZE, None)
    if image_size is None or own is None or own == image_size:
        return geometry
    if dataclasses.is_dataclass(geometry) and not isinstance(geometry, type):
        return dataclasses.replace(geometry, image_size=image_size)
    if hasattr(geometry, "_replace"):
        return geometry._replace(image_size=image_size)
    raise SettingError("input_size", image_size, f"this full size is for {own} pixels only; leave it out")
