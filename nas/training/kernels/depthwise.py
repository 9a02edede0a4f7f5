"""Depthwise convolutions whose weight gradient does not waste 15 of 16 operations on a CPU.

oneDNN has a kernel for the weight gradient of 3x3 depthwise convolutions only. From 5x5 on PyTorch falls
back to the one for grouped convolutions, which pads every group of one channel to a block of 16: five
times as slow, and the larger part of a training step of a network with large kernels (measured: see
``docs/performance.md``). Forward and input gradient are fast for every size, so the weight gradient is
written as a forward pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

_LEAST_KERNEL = 5  # below, oneDNN's own weight gradient is the faster one
_CHUNK = 1 << 18  # numbers at once: 1 MB of images and of gradients each stay in the cache


def use_fast_gradients(model: nn.Module) -> None:
    """Replaces a network's large depthwise convolutions by ones with a faster weight gradient.

    The parameters, their names and what the network computes stay as they are; gradients differ by
    rounding.

    Args:
        model: Changed in place. Meant for training on a CPU.
    """
    for name, module in list(model.named_modules()):
        if type(module) is nn.Conv2d and _is_large_depthwise(module):
            model.set_submodule(name, DepthwiseConv2d.like(module))


def _is_large_depthwise(conv: nn.Conv2d) -> bool:
    size = conv.kernel_size[0]
    return (
        conv.groups == conv.in_channels == conv.out_channels
        and conv.kernel_size == (size, size)
        and size % 2 == 1
        and size >= _LEAST_KERNEL
        and conv.stride == conv.dilation == (1, 1)
        and conv.padding == (size // 2, size // 2)
        and conv.padding_mode == "zeros"
        and conv.bias is None
    )


class DepthwiseConv2d(nn.Conv2d):
    """A depthwise convolution of stride 1, odd size, "same" padding and no bias."""

    @classmethod
    def like(cls, conv: nn.Conv2d) -> DepthwiseConv2d:
        """The same convolution, sharing ``conv``'s weight."""
        size = conv.kernel_size[0]
        own = cls(
            conv.in_channels,
            conv.in_channels,
            size,
            padding=size // 2,
            groups=conv.in_channels,
            bias=False,
            device="meta",
        )
        own.weight = conv.weight
        own.train(conv.training)
        return own

    def forward(self, x: Tensor) -> Tensor:
        """``(B, C, H, W)`` to the same shape."""
        weight = self.weight
        if torch.is_autocast_enabled(x.device.type):
            dtype = torch.get_autocast_dtype(x.device.type)
            x, weight = x.to(dtype), weight.to(dtype)
        result: Tensor = _Convolution.apply(x, weight)
        return result


class _Convolution(torch.autograd.Function):
    """Convolves ``(B, C, H, W)`` with ``(C, 1, K, K)``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return functional.conv2d(x, weight, padding=weight.shape[-1] // 2, groups=len(weight))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        for_x = for_weight = None
        if ctx.needs_input_grad[0]:
            for_x = _input_gradient(x, weight, gradient)
        if ctx.needs_input_grad[1]:
            for_weight = weight_gradient(x, gradient, weight.shape[-1]).to(weight.dtype)
        return for_x, for_weight


def _input_gradient(x: Tensor, weight: Tensor, gradient: Tensor) -> Tensor:
    channels, padding = len(weight), [weight.shape[-1] // 2] * 2
    wanted = [True, False, False]
    found: tuple[Tensor, ...] = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, [1, 1], padding, [1, 1], False, [0, 0], channels, wanted
    )
    return found[0]


def weight_gradient(x: Tensor, gradient: Tensor, size: int) -> Tensor:
    """The weight gradient of a depthwise convolution, as a sum of forward depthwise convolutions.

    Every image and channel is a channel of one large image, and its output's gradient, ``H x W``, the
    kernel it is convolved with: the result, ``size x size`` of it, is what this image and channel
    contribute.

    Args:
        x: The convolution's input, ``(B, C, H, W)``, channels_last for speed.
        gradient: Of its output, the same shape.
        size: Of the kernel, odd, with a padding of ``size // 2``.

    Returns:
        float32, ``(C, 1, size, size)``.
    """
    batch, channels, height, width = x.shape
    total = torch.zeros(channels, size, size, device=x.device)
    images = max(_CHUNK // (channels * height * width), 1)
    for start in range(0, batch, images):
        some = x[start : start + images]
        n = len(some) * channels
        wide = some.permute(2, 3, 0, 1).reshape(1, height, width, n).permute(0, 3, 1, 2)
        kernels = gradient[start : start + images].reshape(n, 1, height, width)
        parts = functional.conv2d(wide, kernels, padding=size // 2, groups=n)
        total += parts.view(-1, channels, size, size).sum(0, dtype=torch.float32)
    return total[:, None]
