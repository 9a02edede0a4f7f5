"""Squeeze-and-excitation (arXiv:1709.01507) in four passes over the map: two forward, two backward.

Forward reads the map once for its means and once to scale it. Backward sums ``gradient * x`` for the
excitation, and only after that has been propagated computes both parts of the input's gradient at once.
Between these passes everything is ``(B, C)``: 1x1 convolutions of one pixel are linear layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from timm.layers import SqueezeExcite
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeGuard

    from torch import Tensor


class FastSqueezeExcite(nn.Module):
    """timm's ``SqueezeExcite``, with its layers under the same names.

    Args:
        layer: The module whose layers are shared.
        in_triton: Whether kernels compute the four passes; else PyTorch does.
    """

    def __init__(self, layer: SqueezeExcite, in_triton: bool) -> None:
        super().__init__()
        self._passes = _passes(in_triton)
        self.fc1, self.bn, self.act = layer.fc1, layer.bn, layer.act
        self.fc2, self.gate = layer.fc2, layer.gate
        self.train(layer.training)

    @staticmethod
    def takes(layer: nn.Module) -> TypeGuard[SqueezeExcite]:
        """Whether a module is squeeze-and-excitation that this class can replace."""
        return (
            type(layer) is SqueezeExcite
            and not layer.add_maxpool
            and all(type(conv) is nn.Conv2d and conv.groups == 1 for conv in (layer.fc1, layer.fc2))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Maps ``(B, C, H, W)`` to the same shape."""
        x = x.contiguous(memory_format=torch.channels_last)
        later = _Later(self._passes)
        excited: Tensor = _PixelMean.apply(x, later)
        excited = _linear(excited, self.fc1)
        excited = self.act(self.bn(excited[:, :, None, None])).flatten(1)
        excited = self.gate(_linear(excited, self.fc2))
        result: Tensor = _Scale.apply(x, excited.to(x.dtype), later)
        return result


def _linear(x: Tensor, conv: nn.Conv2d) -> Tensor:
    return functional.linear(x, conv.weight.flatten(1), conv.bias)


@dataclass(frozen=True)
class _Passes:
    """Implementations of ``factor * sum(x * other)`` over pixels and of ``x * scale + factor * shift``."""

    pixel_sum: Callable[[Tensor, Tensor | None, float], Tensor]
    scaled: Callable[[Tensor, Tensor, Tensor | None, float], Tensor]


def _passes(in_triton: bool) -> _Passes:
    if not in_triton:
        return _Passes(_plain_pixel_sum, _plain_scaled)
    from nas.trial.kernels.fused import squeeze_triton

    return _Passes(squeeze_triton.pixel_sum, squeeze_triton.scaled)


class _Later:
    """Passes gradients from the product's backward pass to that of the mean, which always follows."""

    def __init__(self, passes: _Passes) -> None:
        self.passes = passes
        self.gradient: Tensor | None = None
        self.scale: Tensor | None = None


class _PixelMean(torch.autograd.Function):
    """Means over pixels, ``(B, C)``; its backward pass includes that of the product."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, later: _Later) -> Tensor:
        ctx.later, ctx.pixels = later, x.shape[2] * x.shape[3]
        return later.passes.pixel_sum(x, None, 1 / ctx.pixels)

    @staticmethod
    def backward(ctx: Any, for_mean: Tensor) -> tuple[Tensor, None]:
        gradient, scale = ctx.later.gradient, ctx.later.scale
        ctx.later.gradient = ctx.later.scale = None
        return ctx.later.passes.scaled(gradient, scale, for_mean, 1 / ctx.pixels), None


class _Scale(torch.autograd.Function):
    """Multiplies ``(B, C, H, W)`` by ``(B, C)``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, later: _Later) -> Tensor:
        ctx.later = later
        ctx.save_for_backward(x, scale)
        return later.passes.scaled(x, scale, None, 0.0)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, Tensor, None]:
        x, scale = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        ctx.later.gradient, ctx.later.scale = gradient, scale
        return None, ctx.later.passes.pixel_sum(gradient, x, 1.0), None


def _plain_pixel_sum(x: Tensor, other: Tensor | None, factor: float) -> Tensor:
    return (x if other is None else x * other).sum((2, 3)) * factor


def _plain_scaled(x: Tensor, scale: Tensor, shift: Tensor | None, factor: float) -> Tensor:
    if shift is None:
        return x * scale[:, :, None, None]
    return torch.addcmul((shift * factor)[:, :, None, None], x, scale[:, :, None, None])
