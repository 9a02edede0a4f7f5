"""Depthwise convolutions as a batched matrix product, one matrix of taps per channel.

On a map of ``H x W`` a channel's convolution is linear from ``H W`` to ``H' W'`` numbers: a banded matrix
whose entries are the kernel's taps. All images are multiplied by it at once, so matrix units do the work and
the cost does not depend on the kernel's size. It grows with the square of the map's size: for small maps
only.

Plain PyTorch, for any device and floating type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor


def prepare(weight: Tensor, x: Tensor, stride: int) -> Tensor:
    """Builds the matrices.

    Args:
        weight: Kernels ``(C, 1, K, K)``, K odd.
        x: Input ``(B, C, H, W)``, to be convolved with "same" padding.
        stride: Stride of the convolution.

    Returns:
        ``(C, H' W', H W)`` of the type of ``x``: the output at ``(h, w)`` takes the input at ``(i, j)`` times
        the tap at ``(i - stride h, j - stride w)`` from the kernel's centre.
    """
    height, width = x.shape[2:]
    reach = weight.shape[-1] // 2
    # Taps by displacement, from -(H - 1) to H - 1: zero beyond the kernel, without taps that meet no pixel.
    wide = functional.pad(weight[:, 0].to(x.dtype), [width - 1 - reach] * 2 + [height - 1 - reach] * 2)
    windows = wide.unfold(1, height, 1).unfold(
        2, width, 1
    )  # the window at (H - 1 - h, W - 1 - w) is (h, w)'s
    down, right = (height - 1) % stride, (width - 1) % stride
    rows = windows[:, down::stride, right::stride].flip(1, 2)
    return rows.reshape(len(weight), -1, height * width)


def forward(x: Tensor, prepared: Tensor, stride: int) -> Tensor:
    """See ``implementations.Implementation``."""
    height, width = (-(-side // stride) for side in x.shape[2:])
    return _as_maps(torch.bmm(_by_channel(x), prepared.mT), height, width)


def input_gradient(x: Tensor, gradient: Tensor, prepared: Tensor, _: int) -> Tensor:
    """See ``implementations.Implementation``."""
    return _as_maps(torch.bmm(_by_channel(gradient), prepared), *x.shape[2:])


def weight_gradient(x: Tensor, gradient: Tensor, size: int, stride: int) -> Tensor:
    """See ``implementations.Implementation``.

    The gradient of the matrices is one product; a tap's gradient is the sum over its entries, on diagonals.
    """
    channels, height, width = x.shape[1:]
    of_matrix = torch.bmm(_by_channel(x).mT, _by_channel(gradient.flip(2, 3)))  # (C, H W, H' W'), rotated
    down, right = (height - 1) % stride, (width - 1) % stride
    sides = height + (height - 1 - down), width + (width - 1 - right)
    of_wide = functional.fold(_precise(of_matrix), sides, (height, width), stride=stride)[:, 0]
    reach = size // 2
    top, left = reach - (height - 1 - down), reach - (width - 1 - right)
    ends = [left, size - left - sides[1], top, size - top - sides[0]]
    return functional.pad(of_wide, ends).view(channels, 1, size, size)


def _precise(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _by_channel(x: Tensor) -> Tensor:
    """Maps ``(B, C, H, W)`` to ``(C, B, H W)``."""
    return x.permute(1, 0, 2, 3).flatten(2)


def _as_maps(found: Tensor, height: int, width: int) -> Tensor:
    """Maps ``(C, B, H W)`` to ``(B, C, H, W)``, channels_last."""
    channels, batch, _ = found.shape
    maps = found.permute(1, 2, 0).contiguous().view(batch, height, width, channels)
    return maps.permute(0, 3, 1, 2)
