"""The whole network: Xception, NEXcepTion-T, -S, -TP and the reduced one are points of one family."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from timm.layers import calculate_drop_path_rates
from torch import Tensor, nn

from search_spaces.nexception.blocks import Block, Choices, Stem, Tail
from search_spaces.staged import StagedNetwork, classifier

if TYPE_CHECKING:
    from collections.abc import Mapping

    from search_spaces.nexception.geometry import Geometry


class NEXcepTion(StagedNetwork):
    """A network of the Xception family, with timm's model interface.

    Weights start as PyTorch initialises them, as in the released NEXcepTion.

    Args:
        config: A valid configuration of the ``nexception`` space. In a pyramid its ``kernel_down``
            and ``pool`` have no effect: the layers between stages are ConvNeXt's (NEXcepTion, Table 4).
        geometry: Widths and depths.
        num_classes: Width of the classifier; 0 for none.
        in_chans: Image channels.
        drop_path_rate: Stochastic depth: the same in all blocks, or in a pyramid rising linearly
            from 0.
        drop_rate: Probability with which a feature before the classifier is dropped in training.
        global_pool: timm's name of the pooling before the classifier; "" for none.

    Attributes:
        flows: Whether it has Xception's entry, middle and exit flow.
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
        self.stem = Stem(
            choices,
            in_chans,
            geometry.patchify_chs,
            geometry.conv_chs,
            geometry.conv_padding,
            stride=4 if geometry.pyramid else 2,
        )
        if geometry.pyramid:
            stages = _pyramid_stages(choices, geometry, self.stem.out_chs, drop_path_rate)
        else:
            stages = _xception_stages(choices, geometry, self.stem.out_chs, drop_path_rate)
        self.stages = nn.Sequential(*stages)
        self.tail = nn.Identity() if geometry.pyramid else Tail(choices, geometry.exit_chs)
        self.num_features = self.head_hidden_size = (*geometry.widths, *geometry.exit_chs)[-1]
        norm_layer = choices.norm_layer if geometry.pyramid else None
        self.head = classifier(self.num_features, num_classes, global_pool, drop_rate, norm_layer)
        self.flows = not geometry.pyramid
        self.feature_info = _feature_info(geometry, self.stem.out_chs)

    def forward_features(self, x: Tensor) -> Tensor:
        """``(B, in_chans, H, W)`` to ``(B, num_features, H / reduction, W / reduction)``."""
        return self.tail(self.forward_stages(x))


def _xception_stages(
    choices: Choices, geometry: Geometry, in_chs: int, drop_path_rate: float
) -> list[nn.Sequential]:
    """Builds entry and middle flow, and the exit block as the last stage."""
    stages: list[nn.Sequential] = []
    for width, depth in zip(geometry.widths, geometry.depths, strict=True):
        # The stem has just applied an activation.
        first = not stages
        down = Block(choices, (in_chs, width, width), choices.kernel_down, True, not first, drop_path_rate)
        stages.append(
            nn.Sequential(down, *(_middle_block(choices, width, drop_path_rate) for _ in range(depth)))
        )
        in_chs = width
    exit_block = Block(
        choices, (in_chs, in_chs, geometry.exit_chs[0]), choices.kernel_down, True, True, drop_path_rate
    )
    return [*stages, nn.Sequential(exit_block)]


def _pyramid_stages(
    choices: Choices, geometry: Geometry, in_chs: int, drop_path_rate: float
) -> list[nn.Sequential]:
    """Builds ConvNeXt's stages (arXiv:2201.03545) of NEXcepTion blocks (NEXcepTion, section 4)."""
    rates = iter(cast("list[float]", calculate_drop_path_rates(drop_path_rate, sum(geometry.depths))))
    stages: list[nn.Sequential] = []
    for width, depth in zip(geometry.widths, geometry.depths, strict=True):
        layers: list[nn.Module] = []
        if stages:
            layers.append(nn.Sequential(choices.norm_layer(in_chs), nn.Conv2d(in_chs, width, 2, 2)))
        layers += [_middle_block(choices, width, next(rates)) for _ in range(depth)]
        stages.append(nn.Sequential(*layers))
        in_chs = width
    return stages


def _middle_block(choices: Choices, width: int, drop_path: float) -> Block:
    """Builds a block of three convolutions of one width; in a bottleneck the first is three times as wide."""
    inner = 3 * width if choices.bottleneck else width
    return Block(choices, (width, inner, width, width), choices.kernel_mid, False, True, drop_path)


def _feature_info(geometry: Geometry, stem_chs: int) -> list[dict[str, Any]]:
    """Lists the last module at every resolution, for timm's ``features_only``."""
    first = 4 if geometry.pyramid else 2
    stages = [
        {"num_chs": width, "reduction": 4 * 2**i, "module": f"stages.{i}"}
        for i, width in enumerate(geometry.widths)
    ]
    if geometry.pyramid:
        return stages
    stem = {"num_chs": stem_chs, "reduction": first, "module": "stem"}
    tail = {"num_chs": geometry.exit_chs[-1], "reduction": geometry.reduction, "module": "tail"}
    return [stem, *stages, tail]
