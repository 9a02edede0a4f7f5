"""Depthwise convolutions as PyTorch's libraries (cuDNN, oneDNN) compute them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor


def prepare(weight: Tensor, x: Tensor, _: int) -> Tensor:
    """Casts the weight to the type of ``x``."""
    return weight.to(x.dtype)


def forward(x: Tensor, prepared: Tensor, stride: int) -> Tensor:
    """See ``implementations.Implementation``."""
    return functional.conv2d(
        x, prepared, stride=stride, padding=prepared.shape[-1] // 2, groups=len(prepared)
    )


def input_gradient(x: Tensor, gradient: Tensor, prepared: Tensor, stride: int) -> Tensor:
    """See ``implementations.Implementation``."""
    return _gradients(x, gradient, prepared, stride, [True, False, False])[0]


def weight_gradient(x: Tensor, gradient: Tensor, size: int, stride: int) -> Tensor:
    """See ``implementations.Implementation``; the result has the type of ``x``."""
    weight = x.new_empty(x.shape[1], 1, size, size)  # only its shape matters
    return _gradients(x, gradient, weight, stride, [False, True, False])[1]


def _gradients(
    x: Tensor, gradient: Tensor, weight: Tensor, stride: int, wanted: list[bool]
) -> tuple[Tensor, ...]:
    padding = [weight.shape[-1] // 2] * 2
    found: tuple[Tensor, ...] = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, [stride] * 2, padding, [1, 1], False, [0, 0], len(weight), wanted
    )
    return found
