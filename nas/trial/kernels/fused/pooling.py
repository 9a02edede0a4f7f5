"""Pooling to half the size in one pass each way, on a GPU.

Blur pooling as timm writes it takes four: the maxima at full size, a mirrored border that leaves
channels_last, a copy back, and a depthwise convolution.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from timm.layers import BlurPool2d
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


class MaxBlurPool2d(nn.Module):
    """3x3 maximum, then blur (1 2 1) / 4 in both directions with stride 2 (arXiv:1904.11486)."""

    @staticmethod
    def takes(layer: nn.Module) -> bool:
        """Whether a module is the two layers that this class replaces."""
        if type(layer) is not nn.Sequential or len(layer) != 2:
            return False
        pool, blur = layer
        return (
            _is_max_pool(pool, stride=1)
            and type(blur) is BlurPool2d
            and (blur.filt_size, blur.stride, blur.pad_mode) == (3, 2, "reflect")
        )

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(B, C, H, W)``, at least 2x2 pixels, to ``(B, C, ceil(H / 2), ceil(W / 2))``.

        Raises:
            ValueError: If the map is smaller.
        """
        if min(x.shape[2:]) < 2:
            raise ValueError(f"blur pooling mirrors the border: a map of {x.shape[2]}x{x.shape[3]} has none")
        result: Tensor = _MaxBlurPool.apply(x)
        return result


class FastMaxPool2d(nn.Module):
    """3x3 maximum with stride 2."""

    @staticmethod
    def takes(layer: nn.Module) -> bool:
        """Whether a module is such a pooling."""
        return _is_max_pool(layer, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(B, C, H, W)`` to ``(B, C, ceil(H / 2), ceil(W / 2))``."""
        result: Tensor = _MaxPool.apply(x)
        return result


def _is_max_pool(layer: nn.Module, stride: int) -> bool:
    return (
        type(layer) is nn.MaxPool2d
        and (layer.kernel_size, layer.stride, layer.padding, layer.dilation) == (3, stride, 1, 1)
        and not layer.ceil_mode
        and not layer.return_indices
    )


class _MaxBlurPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        from nas.trial.kernels.fused import blur_pool_triton

        x = x.contiguous(memory_format=torch.channels_last)
        pooled, places = blur_pool_triton.forward(x, with_places=ctx.needs_input_grad[0])
        ctx.save_for_backward(places)
        return pooled

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        from nas.trial.kernels.fused import blur_pool_triton

        (places,) = ctx.saved_tensors
        return blur_pool_triton.backward(gradient.contiguous(memory_format=torch.channels_last), places)


class _MaxPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        from nas.trial.kernels.fused import max_pool_triton

        pooled, places = max_pool_triton.forward(x.contiguous(memory_format=torch.channels_last))
        ctx.size = x.shape[2:]
        ctx.save_for_backward(places)
        return pooled

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        from nas.trial.kernels.fused import max_pool_triton

        (places,) = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        return max_pool_triton.backward(gradient, places, *ctx.size)
