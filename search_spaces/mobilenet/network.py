"""A configuration as timm's description of blocks: the networks are timm's own classes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from timm.layers import get_act_layer
from timm.models._efficientnet_blocks import SqueezeExcite
from timm.models._efficientnet_builder import round_channels
from timm.models.efficientnet import EfficientNet
from timm.models.mobilenetv3 import MobileNetV3
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from search_spaces.mobilenet.sizes import Geometry

FIRST = 2  # units of the first block, which does not expand: 16 channels in all three papers
LAST = 40  # units of the last block: 320 channels (MobileNetV2, Table 2; EfficientNet, Table 1)
FEATURES = 160  # units before the classifier: 1280 features in all three papers
LAST_EXPANSION = 6  # of the last block, or of the part that MobileNetV3 keeps (section 5.1)
SQUEEZE = 0.25  # arXiv:1905.02244, section 5.3; arXiv:1905.11946, as released
EARLY = 2  # searched stages, besides the first block, where MobileNetV3 has ReLU (Table 1)


def build(
    config: Mapping[str, Any], geometry: Geometry, num_classes: int, in_chans: int, drop_path_rate: float
) -> nn.Module:
    """Builds the network of a configuration of the ``mobilenet`` space.

    Weights start as timm initialises them.

    Args:
        config: A valid configuration.
        geometry: Unit of width and strides.
        num_classes: Width of the classifier; 0 for none.
        in_chans: Image channels.
        drop_path_rate: Stochastic depth, rising linearly from 0 (arXiv:1603.09382).
    """
    late = config["activation"].removeprefix("relu_")
    shared: dict[str, Any] = {
        "block_args": [*_stages(config, geometry), [_last(config, geometry)]],
        "num_classes": num_classes,
        "num_features": FEATURES * geometry.width,
        "in_chans": in_chans,
        "stem_size": config["stem_width"] * geometry.width,
        "fix_stem": True,
        "act_layer": get_act_layer(late),
        "norm_layer": nn.BatchNorm2d,
        "round_chs_fn": int,
        "drop_path_rate": drop_path_rate,
    }
    if config["head"] == "after_pooling":
        return MobileNetV3(**shared)
    return EfficientNet(**shared)


def _stages(config: Mapping[str, Any], geometry: Geometry) -> list[list[dict[str, Any]]]:
    unit = geometry.width
    first = {
        "block_type": "ds",
        "out_chs": FIRST * unit,
        "stride": 1,
        "act_layer": _early(config),
        "dw_kernel_size": 3,
        "se_layer": _squeeze(config["se_0"], 1.0),
    }
    stages = [[first]]
    for number, stride in enumerate(geometry.strides, start=1):
        expansions = expansions_of(config[f"expansion_{number}"], config[f"depth_{number}"])
        stages.append(
            [
                {
                    "block_type": "ir",
                    "out_chs": config[f"width_{number}"] * unit,
                    "stride": 1 if place else stride,
                    "act_layer": _early(config) if number <= EARLY else None,
                    "dw_kernel_size": config[f"kernel_{number}"],
                    "exp_ratio": expansion,
                    "se_layer": _squeeze(config[f"se_{number}"], expansion),
                }
                for place, expansion in enumerate(expansions)
            ]
        )
    return stages


def _last(config: Mapping[str, Any], geometry: Geometry) -> dict[str, Any]:
    """Describes the last block; if the features follow the pooling, only its first convolution."""
    if config["head"] == "after_pooling":
        return {
            "block_type": "cn",
            "out_chs": LAST_EXPANSION * config["width_5"] * geometry.width,
            "stride": 1,
            "act_layer": None,
            "kernel_size": 1,
        }
    return {
        "block_type": "ir",
        "out_chs": LAST * geometry.width,
        "stride": 1,
        "act_layer": None,
        "dw_kernel_size": 3,
        "exp_ratio": float(LAST_EXPANSION),
        "se_layer": _squeeze(config["se_5"], LAST_EXPANSION),
    }


def expansions_of(choice: str, depth: int) -> list[float]:
    """Returns the expansion of each block of a stage; the choice's last number holds for all others."""
    numbers = [float(number) for number in choice.split("-")]
    return [numbers[min(place, len(numbers) - 1)] for place in range(depth)]


def _early(config: Mapping[str, Any]) -> type[nn.Module] | None:
    """Returns the activation of the first blocks; None for the network's own."""
    return nn.ReLU if config["activation"].startswith("relu_") else None


def _squeeze(choice: str, expansion: float) -> Any:
    """Returns squeeze-and-excitation as in EfficientNet's release, or as in MobileNetV3 (section 5.3)."""
    if choice == "none":
        return None
    if choice == "input":
        return partial(SqueezeExcite, rd_ratio=SQUEEZE / expansion)
    return partial(
        SqueezeExcite,
        rd_ratio=SQUEEZE,
        rd_round_fn=round_channels,
        force_act_layer=nn.ReLU,
        gate_layer="hard_sigmoid",
    )
