"""The published networks as timm models: import this module, then ``timm.create_model("nexception_t")``.

``nexception`` underlies all of them: it takes any configuration of the search space and any geometry,
and is what the folders that ``nas.export`` writes name as their architecture. So after this import
``timm.create_model("local-dir:DIR", pretrained=True)`` loads such a folder.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from timm.models import build_model_with_cfg, generate_default_cfgs, register_model

import search_spaces
from search_spaces.nexception.geometry import NEXCEPTION_S, NEXCEPTION_T, NEXCEPTION_TP, Geometry
from search_spaces.nexception.network import NEXcepTion

if TYPE_CHECKING:
    from collections.abc import Mapping

SPACE = "nexception"
GENERIC = "nexception"
PRESETS = (NEXCEPTION_T, NEXCEPTION_S, NEXCEPTION_TP)

_TEST_CROP = 0.95  # NEXcepTion, Table 1
_SMALL = 64  # images up to this size in pixels are not cropped


def pretrained_cfg(geometry: Geometry, num_classes: int = 1000, in_chans: int = 3) -> dict[str, Any]:
    """Returns timm's metadata of a network: input, crop, names of the first and last layer."""
    size = geometry.image_size
    side = math.ceil(size / geometry.reduction)
    return {
        "num_classes": num_classes,
        "input_size": (in_chans, size, size),
        "pool_size": (side, side),
        "crop_pct": 1.0 if size <= _SMALL else _TEST_CROP,
        "interpolation": "bicubic",
        "first_conv": "stem.layers.0",
        "classifier": "head.fc",
        "paper_name": "From Xception to NEXcepTion: New Design Decisions and Neural Architecture Search",
        "paper_ids": "arXiv:2212.08448",
    }


_cfgs: dict[str, Any] = {geometry.name: pretrained_cfg(geometry) for geometry in PRESETS}
default_cfgs = generate_default_cfgs({**_cfgs, GENERIC: pretrained_cfg(NEXCEPTION_T)})


def _build(
    variant: str, config: Mapping[str, Any], geometry: Geometry, pretrained: bool, **kwargs: Any
) -> NEXcepTion:
    levels = len(geometry.widths) + (0 if geometry.pyramid else 2)
    model: NEXcepTion = build_model_with_cfg(
        NEXcepTion,
        variant,
        pretrained,
        feature_cfg={"out_indices": tuple(range(levels)), "flatten_sequential": True},
        config=search_spaces.get(SPACE).validate(config),
        geometry=geometry,
        **kwargs,
    )
    return model


def _published(geometry: Geometry, pretrained: bool, **kwargs: Any) -> NEXcepTion:
    return _build(
        geometry.name, search_spaces.get(SPACE).points["nexception"], geometry, pretrained, **kwargs
    )


@register_model
def nexception_t(pretrained: bool = False, **kwargs: Any) -> NEXcepTion:
    """NEXcepTion-T (NEXcepTion, Table 5)."""
    return _published(NEXCEPTION_T, pretrained, **kwargs)


@register_model
def nexception_s(pretrained: bool = False, **kwargs: Any) -> NEXcepTion:
    """NEXcepTion-S (NEXcepTion, Table 6)."""
    return _published(NEXCEPTION_S, pretrained, **kwargs)


@register_model
def nexception_tp(pretrained: bool = False, **kwargs: Any) -> NEXcepTion:
    """NEXcepTion-TP (NEXcepTion, Table 4)."""
    return _published(NEXCEPTION_TP, pretrained, **kwargs)


@register_model
def nexception(
    pretrained: bool = False,
    config: Mapping[str, Any] | None = None,
    geometry: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> NEXcepTion:
    """Any network of the search space at any size.

    Args:
        pretrained: Load the weights of the folder that timm was given.
        config: A configuration of the ``nexception`` space; NEXcepTion's own if None.
        geometry: As :meth:`~search_spaces.nexception.geometry.Geometry.to_json` gives it; NEXcepTion-T's if
            None.
        **kwargs: timm's: num_classes, in_chans, drop_rate, drop_path_rate, features_only, ...

    Raises:
        UserError: If the configuration or the geometry is invalid.
    """
    point = search_spaces.get(SPACE).points["nexception"] if config is None else config
    size = NEXCEPTION_T if geometry is None else Geometry.from_json(geometry)
    return _build(GENERIC, point, size, pretrained, **kwargs)
