# mypy: allow-untyped-defs, allow-incomplete-defs
"""3x3 maximum, blur and subsampling by 2 in one pass each way; Triton, channels_last.

The blur (1 2 1) / 4 of an edge pixel meets the mirrored row or column of maxima, which the output reads
anyway: mirroring only changes weights, and no padded map is needed. Forward stores the position of each
maximum in one byte; backward gathers by it, so that no two programs write to the same address and equal
inputs give equal gradients.

A program computes some outputs and, backward, the 2x2 pixels that belong to each, from ``(2 * row, 2 *
column)`` on. The offsets ``origin``, ``(outputs, channels)``, are those of an output's image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl

if TYPE_CHECKING:
    from torch import Tensor

_OUTPUTS, _CHANNELS = 4, 64  # per program: no registers spill; not measured on a GPU
_SIZES = ("outputs", "height", "width", "out_height", "out_width")


def forward(x: Tensor, with_places: bool) -> tuple[Tensor, Tensor]:
    """Pools a map.

    Args:
        x: Input ``(B, C, H, W)``, channels_last, at least 2x2 pixels.
        with_places: Whether a backward pass will follow.

    Returns:
        The output ``(B, C, ceil(H / 2), ceil(W / 2))``, and uint8 like ``x``: which of the 9 pixels around
        each, row by row, is the first maximum (empty without a backward pass).
    """
    height, width = x.shape[2:]
    pooled = empty(x, (height + 1) // 2, (width + 1) // 2, x.dtype)
    places = empty(x, height if with_places else 0, width, torch.uint8)
    launch(_forward, (x, pooled, places), x, pooled, with_places, _OUTPUTS, _CHANNELS)
    return pooled, places


def backward(gradient: Tensor, places: Tensor) -> Tensor:
    """Computes the gradient of the input.

    Args:
        gradient: Gradient of the output, ``(B, C, ceil(H / 2), ceil(W / 2))``, channels_last.
        places: From :func:`forward`, ``(B, C, H, W)``.
    """
    found = empty(gradient, places.shape[2], places.shape[3], gradient.dtype)
    launch(_backward, (gradient, places, found), found, gradient, _OUTPUTS, _CHANNELS)
    return found


def empty(like: Tensor, height: int, width: int, dtype: torch.dtype) -> Tensor:
    """Allocates a map of another size with the images and channels of ``like``, channels_last."""
    shape = (*like.shape[:2], height, width)
    return torch.empty(shape, device=like.device, dtype=dtype, memory_format=torch.channels_last)


def launch(kernel, maps, x: Tensor, pooled: Tensor, *constants: int) -> None:
    """Runs a kernel on maps with the sizes of ``x`` and ``pooled``, or of their gradients.

    The last two of its constants are the outputs and channels of a program.
    """
    batch, channels, *out = pooled.shape
    outputs = batch * out[0] * out[1]
    grid = triton.cdiv(outputs, constants[-2]), triton.cdiv(channels, constants[-1])
    kernel[grid](*maps, outputs, *x.shape[2:], *out, channels, *constants, enable_fp_fusion=True)


@triton.jit
def program(
    outputs, height, width, out_height, out_width, channels, n_outputs: tl.constexpr, n_channels: tl.constexpr
):
    """Returns the origins in ``x`` and in ``pooled``, rows, columns and mask of a program's outputs."""
    output = tl.program_id(0) * n_outputs + tl.arange(0, n_outputs)
    channel = tl.program_id(1) * n_channels + tl.arange(0, n_channels)[None, :]
    exists = (output < outputs)[:, None] & (channel < channels)
    image = (output // (out_height * out_width)).to(tl.int64)
    at = output % (out_height * out_width)
    origin = (image * height * width * channels)[:, None] + channel
    out_origin = (image * out_height * out_width * channels)[:, None] + channel
    return origin, out_origin, at // out_width, at % out_width, exists


@triton.jit
def pixels_at(origin, exists, row, column, height, width, channels):
    """Returns the offset of one pixel for each output, and whether it lies on the map."""
    within = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    return origin + ((row * width + column) * channels)[:, None], exists & within[:, None]


@triton.jit
def load(x, origin, exists, row, column, height, width, channels, other: tl.constexpr):
    """Loads one pixel for each output, ``other`` beyond the map."""
    at, within = pixels_at(origin, exists, row, column, height, width, channels)
    return tl.load(x + at, mask=within, other=other)


@triton.jit
def store_square(x, origin, exists, row, column, height, width, channels, v00, v01, v10, v11):
    """Stores for each output the 2x2 pixels from a row and column on, as far as they lie on the map."""
    kind = x.dtype.element_ty
    at, within = pixels_at(origin, exists, row, column, height, width, channels)
    tl.store(x + at, v00.to(kind), mask=within)
    at, within = pixels_at(origin, exists, row, column + 1, height, width, channels)
    tl.store(x + at, v01.to(kind), mask=within)
    at, within = pixels_at(origin, exists, row + 1, column, height, width, channels)
    tl.store(x + at, v10.to(kind), mask=within)
    at, within = pixels_at(origin, exists, row + 1, column + 1, height, width, channels)
    tl.store(x + at, v11.to(kind), mask=within)


@triton.jit
def _weights(at, size):
    """Returns the weights of the maxima before and after the centre of a line, mirrored at its ends."""
    first, last = at == 0, 2 * at + 1 >= size
    before = tl.where(first, 0.0, tl.where(last, 0.5, 0.25))
    after = tl.where(last, 0.0, tl.where(first, 0.5, 0.25))
    return before[:, None], after[:, None]


@triton.jit
def greater(best, at, value, place):
    """Returns the greater value and its place; the first of equals and NaN win, as in PyTorch."""
    take = (value > best) | (value != value)
    return tl.where(take, value, best), tl.where(take, place, at)


@triton.jit
def _three(a, at_a, b, at_b, c, at_c):
    """Returns the maximum of three values and its place."""
    best, at = greater(a, at_a, b, at_b)
    return greater(best, at, c, at_c)


@triton.jit
def _row(x, origin, exists, row, column, height, width, channels):
    """Returns the maxima of each three neighbours among five pixels of a row, and places of the last two."""
    a = load(x, origin, exists, row, column - 2, height, width, channels, float("-inf")).to(tl.float32)
    b = load(x, origin, exists, row, column - 1, height, width, channels, float("-inf")).to(tl.float32)
    c = load(x, origin, exists, row, column, height, width, channels, float("-inf")).to(tl.float32)
    d = load(x, origin, exists, row, column + 1, height, width, channels, float("-inf")).to(tl.float32)
    e = load(x, origin, exists, row, column + 2, height, width, channels, float("-inf")).to(tl.float32)
    left, _ = _three(a, 0, b, 1, c, 2)
    mid, at_mid = _three(b, 0, c, 1, d, 2)
    right, at_right = _three(c, 0, d, 1, e, 2)
    return left, mid, right, at_mid, at_right


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
    with_places: tl.constexpr,
    n_outputs: tl.constexpr,
    n_channels: tl.constexpr,
):
    origin, out_origin, row, column, exists = program(
        outputs, height, width, out_height, out_width, channels, n_outputs, n_channels
    )
    y, z = 2 * row, 2 * column
    # Five rows of pixels, a to e; in each the maxima around columns z - 1, z and z + 1.
    a0, a1, a2, _, _ = _row(x, origin, exists, y - 2, z, height, width, channels)
    b0, b1, b2, at_b1, at_b2 = _row(x, origin, exists, y - 1, z, height, width, channels)
    c0, c1, c2, at_c1, at_c2 = _row(x, origin, exists, y, z, height, width, channels)
    d0, d1, d2, at_d1, at_d2 = _row(x, origin, exists, y + 1, z, height, width, channels)
    e0, e1, e2, at_e1, at_e2 = _row(x, origin, exists, y + 2, z, height, width, channels)
    above0, _ = _three(a0, 0, b0, 1, c0, 2)
    above1, _ = _three(a1, 0, b1, 1, c1, 2)
    above2, _ = _three(a2, 0, b2, 1, c2, 2)
    own0, _ = _three(b0, 0, c0, 1, d0, 2)
    own1, at_own1 = _three(b1, at_b1, c1, at_c1 + 3, d1, at_d1 + 6)
    own2, at_own2 = _three(b2, at_b2, c2, at_c2 + 3, d2, at_d2 + 6)
    below0, _ = _three(c0, 0, d0, 1, e0, 2)
    below1, at_below1 = _three(c1, at_c1, d1, at_d1 + 3, e1, at_e1 + 6)
    below2, at_below2 = _three(c2, at_c2, d2, at_d2 + 3, e2, at_e2 + 6)
    if with_places:
        store_square(
            places, origin, exists, y, z, height, width, channels, at_own1, at_own2, at_below1, at_below2
        )
    above, below = _weights(row, height)
    before, after = _weights(column, width)
    found = above * (before * above0 + 0.5 * above1 + after * above2)
    found += 0.5 * (before * own0 + 0.5 * own1 + after * own2)
    found += below * (before * below0 + 0.5 * below1 + after * below2)
    at, within = pixels_at(out_origin, exists, row, column, out_height, out_width, channels)
    tl.store(pooled + at, found.to(pooled.dtype.element_ty), mask=within)


@triton.jit
def _spread(gradient, origin, exists, row, column, out_height, out_width, width, channels):
    """Distributes one row of the output's gradients to four columns of maxima from ``2 * column - 1`` on."""
    left = load(gradient, origin, exists, row, column - 1, out_height, out_width, channels, 0.0).to(
        tl.float32
    )
    own = load(gradient, origin, exists, row, column, out_height, out_width, channels, 0.0).to(tl.float32)
    right = load(gradient, origin, exists, row, column + 1, out_height, out_width, channels, 0.0).to(
        tl.float32
    )
    _, left_after = _weights(column - 1, width)
    before, after = _weights(column, width)
    right_before, _ = _weights(column + 1, width)
    return left_after * left + before * own, 0.5 * own, after * own + right_before * right, 0.5 * right


@triton.jit
def _gather(a, at_a, b, at_b, c, at_c, place):
    """Sums the gradients that reach a pixel from the maxima left of, at and right of it.

    ``place`` is the place of the first pixel of its row.
    """
    found = tl.where(at_a == place + 2, a, 0.0)
    found += tl.where(at_b == place + 1, b, 0.0)
    return found + tl.where(at_c == place, c, 0.0)


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
    a0, a1, a2, a3 = _spread(
        gradient, out_origin, exists, row - 1, column, out_height, out_width, width, channels
    )
    b0, b1, b2, b3 = _spread(
        gradient, out_origin, exists, row, column, out_height, out_width, width, channels
    )
    c0, c1, c2, c3 = _spread(
        gradient, out_origin, exists, row + 1, column, out_height, out_width, width, channels
    )
    _, a_below = _weights(row - 1, height)
    b_above, b_below = _weights(row, height)
    c_above, _ = _weights(row + 1, height)
    y, z = 2 * row, 2 * column
    shape: tl.constexpr = (n_outputs, n_channels)
    own00, own01 = tl.zeros(shape, tl.float32), tl.zeros(shape, tl.float32)
    own10, own11 = tl.zeros(shape, tl.float32), tl.zeros(shape, tl.float32)
    for i in tl.static_range(4):  # rows of maxima, from the one above the output's own pixels
        p0 = load(places, origin, exists, y + (i - 1), z - 1, height, width, channels, 255)
        p1 = load(places, origin, exists, y + (i - 1), z, height, width, channels, 255)
        p2 = load(places, origin, exists, y + (i - 1), z + 1, height, width, channels, 255)
        p3 = load(places, origin, exists, y + (i - 1), z + 2, height, width, channels, 255)
        if i == 0:
            g0, g1 = a_below * a0 + b_above * b0, a_below * a1 + b_above * b1
            g2, g3 = a_below * a2 + b_above * b2, a_below * a3 + b_above * b3
        elif i == 1:
            g0, g1, g2, g3 = 0.5 * b0, 0.5 * b1, 0.5 * b2, 0.5 * b3
        elif i == 2:
            g0, g1 = b_below * b0 + c_above * c0, b_below * b1 + c_above * c1
            g2, g3 = b_below * b2 + c_above * c2, b_below * b3 + c_above * c3
        else:
            g0, g1, g2, g3 = 0.5 * c0, 0.5 * c1, 0.5 * c2, 0.5 * c3
        if i < 3:
            own00 += _gather(g0, p0, g1, p1, g2, p2, 6 - 3 * i)
            own01 += _gather(g1, p1, g2, p2, g3, p3, 6 - 3 * i)
        if i > 0:
            own10 += _gather(g0, p0, g1, p1, g2, p2, 9 - 3 * i)
            own11 += _gather(g1, p1, g2, p2, g3, p3, 9 - 3 * i)
    store_square(found, origin, exists, y, z, height, width, channels, own00, own01, own10, own11)
