"""What networks with a stem, stages and a head have in common: timm's model interface."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from timm.layers import ClassifierHead, NormMlpClassifierHead
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable


class StagedNetwork(nn.Module):
    """A subclass makes ``stem``, ``stages`` and ``head``, in the order in which their weights are drawn.

    Args:
        num_classes: Width of the classifier; 0 for none.
        in_chans: Image channels.
    """

    if TYPE_CHECKING:  # TorchScript would read them
        stem: nn.Module
        stages: nn.Sequential
        head: ClassifierHead | NormMlpClassifierHead

    def __init__(self, num_classes: int, in_chans: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.in_chans = in_chans
        self.grad_checkpointing = False

    def forward_stages(self, x: Tensor) -> Tensor:
        """``(B, in_chans, H, W)`` to ``(B, C, H / reduction, W / reduction)``."""
        x = self.stem(x)
        for stage in self.stages:
            if self.grad_checkpointing and not torch.jit.is_scripting():  # type: ignore[attr-defined]
                for block in stage.children():
                    x = checkpoint(block, x, use_reentrant=False)
            else:
                x = stage(x)
        return x

    def forward_features(self, x: Tensor) -> Tensor:
        """``(B, in_chans, H, W)`` to ``(B, num_features, H / reduction, W / reduction)``."""
        return self.forward_stages(x)

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
        """Returns the last layer."""
        layer: nn.Module = self.head.fc
        return layer

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Replaces the last layer by a fresh one; 0 classes for none."""
        self.num_classes = num_classes
        self.head.reset(num_classes, global_pool)


def classifier(
    num_features: int,
    num_classes: int,
    global_pool: str,
    drop_rate: float,
    norm_layer: Callable[..., nn.Module] | None,
) -> ClassifierHead | NormMlpClassifierHead:
    """Returns a head: pooling and a linear layer, with a norm between them as in ConvNeXt if one is given."""
    if norm_layer is None:
        return ClassifierHead(num_features, num_classes, global_pool, drop_rate)
    return NormMlpClassifierHead(
        num_features, num_classes, pool_type=global_pool, drop_rate=drop_rate, norm_layer=norm_layer
    )
