"""Networks of any search space as a timm model: import this module, then load what ``nas.export`` wrote.

``searched_network`` is what such folders name as their architecture. Of a space that is registered,
``timm.create_model("local-dir:DIR", pretrained=True)`` loads it; code that came with the folder runs only
inside :func:`search_spaces.code.trusting`, which names it.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model

from nas.util.errors import SettingError, UserError
from search_spaces import code as codes
from search_spaces.code import trusting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from search_spaces.base import SearchSpace

__all__ = ["ARCHITECTURE", "at_size", "pretrained_cfg", "searched_network", "sized", "trusting"]

ARCHITECTURE = "searched_network"
FULL_SIZE, WIDTH, IMAGE_SIZE = "full_size", "width", "image_size"  # of what makes a geometry again
USUAL_SIZE = 224


def pretrained_cfg(image_size: int, num_classes: int = 1000, in_chans: int = 3) -> dict[str, Any]:
    """What timm wants to know of a network."""
    return {
        "num_classes": num_classes,
        "input_size": (in_chans, image_size, image_size),
        "crop_pct": 1.0,
        "interpolation": "bicubic",
    }


default_cfgs = generate_default_cfgs({ARCHITECTURE: pretrained_cfg(USUAL_SIZE)})


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


@register_model
def searched_network(
    pretrained: bool = False,
    space: str = "",
    config: Mapping[str, Any] | None = None,
    geometry: Mapping[str, Any] | None = None,
    code: Mapping[str, str] | None = None,
    **kwargs: Any,
) -> nn.Module:
    """A network of any search space.

    Args:
        pretrained: Load the weights of the folder that timm was given.
        space: The name of a registered space.
        config: A configuration of it; its default if None.
        geometry: See :func:`sized`.
        code: Of a space that is not ours: file, class and SHA-256.
        **kwargs: timm's: num_classes, in_chans, drop_path_rate.

    Raises:
        UserError: If there is no such network, or code would run that nobody named.
    """
    found = codes.find(space, code)
    size = sized(found, geometry)
    chosen = found.default if config is None else found.validate(config)

    def network(
        num_classes: int = 1000,
        in_chans: int = 3,
        drop_path_rate: float = 0.0,
        global_pool: str | None = None,  # noqa: ARG001 - saved by timm, and as the network has it
        **others: Any,
    ) -> nn.Module:
        for name, value in others.items():
            if value:
                raise SettingError(name, value, f"networks of the space {found.name} have no such setting")
        model = found.network(chosen, size, num_classes, in_chans, drop_path_rate)
        _described(model, num_classes, in_chans)
        return model

    model: nn.Module = build_model_with_cfg(network, ARCHITECTURE, pretrained, **kwargs)
    return model


def _described(model: Any, num_classes: int, in_chans: int) -> None:
    """Says of a network what timm asks for."""
    last = classifier(model, num_classes)
    features = num_classes if last is None else model.get_submodule(last).in_features
    for name, value in (("num_classes", num_classes), ("in_chans", in_chans), ("num_features", features)):
        if not isinstance(getattr(model, name, None), int):
            setattr(model, name, value)


def classifier(model: nn.Module, num_classes: int) -> str | None:
    """The name of the last linear layer with an output for each class, None if there is none."""
    from torch import nn

    found = [
        name
        for name, module in model.named_modules()
        if name and isinstance(module, nn.Linear) and module.out_features == num_classes
    ]
    return found[-1] if found else None
