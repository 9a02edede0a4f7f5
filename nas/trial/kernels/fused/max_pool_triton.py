# mypy: allow-untyped-defs, allow-incomplete-defs
"""3x3 maximum with stride 2 in one pass each way; Triton, channels_last.

PyTorch stores the place of each maximum in eight bytes and sums gradients in no fixed order. Here a place
takes one byte, and backward gathers: each pixel reads the maxima around it, so that equal inputs give equal
gradients.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl

from nas.trial.kernels.fused.blur_pool_triton import (
    empty,
    greater,
    launch,
    load,
    pixels_at,
    program,
    store_square,
)

if TYPE_CHECKING:
    from torch import Tensor

_OUTPUTS, _CHANNELS = 8, 64  # per program; not measured on a GPU
_SIZES = ("outputs", "height", "width", "out_height", "out_width")


def forward(x: Tensor) -> tuple[Tensor, Tensor]:
    """Pools a map.

    Args:
        x: Input ``(B, C, H, W)``, channels_last.

    Returns:
        The output ``(B, C, ceil(H / 2), ceil(W / 2))``, and uint8 of this shape: which of the 9 pixels, row
        by row, is the first maximum.
    """
    height, width = x.shape[2:]
    pooled = empty(x, (height + 1) // 2, (width + 1) // 2, x.dtype)
    places = torch.empty_like(pooled, dtype=torch.uint8)
    launch(_forward, (x, pooled, places), x, pooled, _OUTPUTS, _CHANNELS)
    return pooled, places


def backward(gradient: Tensor, places: Tensor, height: int, width: int) -> Tensor:
    """Computes the gradient of the input, ``(B, C, height, width)``.

    Args:
        gradient: Gradient of the output, ``(B, C, ceil(height / 2), ceil(width / 2))``, channels_last.
        places: From :func:`forward`.
        height: Height of the input.
        width: Width of the input.
    """
    found = empty(gradient, height, width, gradient.dtype)
    launch(_backward, (gradient, places, found), found, gradient, _OUTPUTS, _CHANNELS)
    return found


@triton.jit(do_not_specialize=_SIZES)
def _forward(
    x,
    pooled,
    places,
    outputs,
    height,
    width,
    out_height,
    out_width,
    channels,
    n_outputs: tl.constexpr,
    n_channels: tl.constexpr,
):
    origin, out_origin, row, column, exists = program(
        outputs, height, width, out_height, out_width, channels, n_outputs, n_channels
    )
    best = tl.full((n_outputs, n_channels), float("-inf"), tl.float32)
    place = tl.zeros((n_outputs, n_channels), tl.int32)
    for i in tl.static_range(3):
        for j in tl.static_range(3):
            y, z = 2 * row + (i - 1), 2 * column + (j - 1)
            value = load(x, origin, exists, y, z, height, width, channels, float("-inf")).to(tl.float32)
            best, place = greater(best, place, value, 3 * i + j)
    at, within = pixels_at(out_origin, exists, row, column, out_height, out_width, channels)
    tl.store(pooled + at, best.to(pooled.dtype.element_ty), mask=within)
    tl.store(places + at, place.to(tl.uint8), mask=within)


@triton.jit
def _maxima(gradient, places, origin, exists, row, column, out_height, out_width, channels):
    at, within = pixels_at(origin, exists, row, column, out_height, out_width, channels)
    value = tl.load(gradient + at, mask=within, other=0.0).to(tl.float32)
    return value, tl.load(places + at, mask=within, other=255)


@triton.jit(do_not_specialize=_SIZES)
def _backward(
    gradient,
    places,
    found,
    outputs,
    height,
    width,
    out_height,
    out_width,
    channels,
    n_outputs: tl.constexpr,
    n_channels: tl.constexpr,
):
    origin, out_origin, row, column, exists = program(
        outputs, height, width, out_height, out_width, channels, n_outputs, n_channels
    )
    a, at_a = _maxima(gradient, places, out_origin, exists, row, column, out_height, out_width, channels)
    b, at_b = _maxima(gradient, places, out_origin, exists, row, column + 1, out_height, out_width, channels)
    c, at_c = _maxima(gradient, places, out_origin, exists, row + 1, column, out_height, out_width, channels)
    d, at_d = _maxima(
        gradient, places, out_origin, exists, row + 1, column + 1, out_height, out_width, channels
    )
    own00 = tl.where(at_a == 4, a, 0.0)
    own01 = tl.where(at_a == 5, a, 0.0) + tl.where(at_b == 3, b, 0.0)
    own10 = tl.where(at_a == 7, a, 0.0) + tl.where(at_c == 1, c, 0.0)
    own11 = tl.where(at_a == 8, a, 0.0) + tl.where(at_b == 6, b, 0.0)
    own11 += tl.where(at_c == 2, c, 0.0) + tl.where(at_d == 0, d, 0.0)
    store_square(
        found, origin, exists, 2 * row, 2 * column, height, width, channels, own00, own01, own10, own11
    )
