"""The whole network: ResNet-50 and -101, ConvNeXt-T and -S and the reduced one are points of one family."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch
from timm.layers import ClassifierHead, NormMlpClassifierHead, calculate_drop_path_rates
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from search_spaces.resnet.blocks import Block, Choices, between, stem
from search_spaces.resnet.sizes import BASE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from search_spaces.resnet.sizes import Geometry


class ResidualNetwork(nn.Module):
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
        super().__init__()
        choices = Choices(**config)
        self.num_classes = num_classes
        self.in_chans = in_chans
        self.grad_checkpointing = False
        first = round(choices.width * geometry.width / BASE)
        self.stem = stem(choices, in_chans, first, geometry.stem_stride)
        self.stages = nn.Sequential(*_stages(choices, geometry, first, drop_path_rate))
        widths = [choices.stage_chs(first * 2**i) for i in range(len(self.stages))]
        self.num_features = self.head_hidden_size = widths[-1]
        self.head: ClassifierHead | NormMlpClassifierHead
        if choices.downsampling == "separate":
            self.head = NormMlpClassifierHead(
                self.num_features,
                num_classes,
                pool_type=global_pool,
                drop_rate=drop_rate,
                norm_layer=choices.norm_layer,
            )
        else:
            self.head = ClassifierHead(self.num_features, num_classes, global_pool, drop_rate)
        self.feature_info = [
            {"num_chs": width, "reduction": geometry.stem_stride * 2**i, "module": f"stages.{i}"}
            for i, width in enumerate(widths)
        ]

    def forward_features(self, x: Tensor) -> Tensor:
        """``(B, in_chans, H, W)`` to ``(B, num_features, H / reduction, W / reduction)``."""
        x = self.stem(x)
        for stage in self.stages:
            if self.grad_checkpointing and not torch.jit.is_scripting():  # type: ignore[attr-defined]
                for block in stage.children():
                    x = checkpoint(block, x, use_reentrant=False)
            else:
                x = stage(x)
        return x

    def forward_head(self, x: Tensor, pre_logits: bool = False) -> Tensor:
        """``(B, num_features, H', W')`` to logits ``(B, num_classes)``, or to pooled features."""
        out: Tensor = self.head(x, pre_logits=pre_logits)
        return out

    def forward(self, x: Tensor) -> Tensor:
        """``(B, in_chans, H, W)`` to logits ``(B, num_classes)``."""
        return self.forward_head(self.forward_features(x))

    @torch.jit.ignore
    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Keeps only the blocks' inputs for the backward pass and computes the rest again."""
        self.grad_checkpointing = enable

    @torch.jit.ignore
    def get_classifier(self) -> nn.Module:
        """The last layer."""
        layer: nn.Module = self.head.fc
        return layer

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Replaces the last layer by a fresh one; 0 classes for none."""
        self.num_classes = num_classes
        self.head.reset(num_classes, global_pool)


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
