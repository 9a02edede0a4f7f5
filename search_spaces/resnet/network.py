"""The whole network: ResNet-50 and -101, ConvNeXt-T and -S and the reduced one are points of one family."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from timm.layers import calculate_drop_path_rates
from torch import nn

from search_spaces.resnet.blocks import Block, Choices, between, stem
from search_spaces.resnet.sizes import BASE
from search_spaces.staged import StagedNetwork, classifier

if TYPE_CHECKING:
    from collections.abc import Mapping

    from search_spaces.resnet.sizes import Geometry


class ResidualNetwork(StagedNetwork):
    """A network between ResNet and ConvNeXt, with timm's model interface.

    Weights start as PyTorch initialises them.

    Args:
        config: A valid configuration of the ``resnet`` space.
        geometry: Widths and depths.
        num_classes: Width of the classifier; 0 for none.
        in_chans: Image channels.
        drop_path_rate: Stochastic depth, rising linearly from 0 (arXiv:1603.09382).
        drop_rate: Probability with which a feature before the classifier is dropped in training.
        global_pool: timm's name of the pooling before the classifier; "" for none.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        geometry: Geometry,
        num_classes: int = 1000,
        in_chans: int = 3,
        drop_path_rate: float = 0.0,
        drop_rate: float = 0.0,
        global_pool: str = "avg",
    ) -> None:
        super().__init__(num_classes, in_chans)
        choices = Choices(**config)
        first = round(choices.width * geometry.width / BASE)
        self.stem = stem(choices, in_chans, first, geometry.stem_stride)
        self.stages = nn.Sequential(*_stages(choices, geometry, first, drop_path_rate))
        widths = [choices.stage_chs(first * 2**i) for i in range(len(self.stages))]
        self.num_features = self.head_hidden_size = widths[-1]
        norm_layer = choices.norm_layer if choices.downsampling == "separate" else None
        self.head = classifier(self.num_features, num_classes, global_pool, drop_rate, norm_layer)
        self.feature_info = [
            {"num_chs": width, "reduction": geometry.stem_stride * 2**i, "module": f"stages.{i}"}
            for i, width in enumerate(widths)
        ]


def _stages(choices: Choices, geometry: Geometry, first: int, drop_path_rate: float) -> list[nn.Sequential]:
    depths = geometry.depths if choices.stage_ratio == "3:4:6:3" else geometry.depths_swin
    rates = iter(cast("list[float]", calculate_drop_path_rates(drop_path_rate, sum(depths))))
    stages: list[nn.Sequential] = []
    chs = first
    for number, depth in enumerate(depths):
        narrow = first * 2**number
        layers: list[nn.Module] = []
        stride = 2 if number else 1
        if number and choices.downsampling == "separate":
            layers.append(between(choices, chs, choices.stage_chs(narrow)))
            chs, stride = choices.stage_chs(narrow), 1
        for block in range(depth):
            layers.append(Block(choices, chs, narrow, 1 if block else stride, next(rates)))
            chs = choices.stage_chs(narrow)
        stages.append(nn.Sequential(*layers))
    return stages
