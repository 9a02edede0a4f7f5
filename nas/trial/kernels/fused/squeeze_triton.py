# mypy: allow-untyped-defs, allow-incomplete-defs
"""Sums over pixels, and products with a number per channel, one pass each; Triton, channels_last."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl

if TYPE_CHECKING:
    from torch import Tensor

_ROWS, _CHANNELS = 32, 64  # of a tile; not measured on a GPU
_SIZES = ("pixels", "rows")


def pixel_sum(x: Tensor, other: Tensor | None, factor: float) -> Tensor:
    """Computes ``factor * x.sum((2, 3))``, or the sum of ``x * other``.

    Maps ``(B, C, H, W)``, channels_last, to ``(B, C)``.
    """
    batch, channels, height, width = x.shape
    found = torch.empty(batch, channels, device=x.device, dtype=x.dtype)
    _pixel_sum[batch, triton.cdiv(channels, _CHANNELS)](
        *(x, x if other is None else other, found, height * width, channels, factor),
        *(other is not None, _ROWS, _CHANNELS),
        enable_fp_fusion=True,
    )
    return found


def scaled(x: Tensor, scale: Tensor, shift: Tensor | None, factor: float) -> Tensor:
    """Computes ``x * scale + factor * shift``, like ``x``, with ``scale`` and ``shift`` ``(B, C)``."""
    batch, channels, height, width = x.shape
    found = torch.empty_like(x, memory_format=torch.channels_last)
    rows = batch * height * width
    _scaled[triton.cdiv(rows, _ROWS), triton.cdiv(channels, _CHANNELS)](
        *(x, scale, scale if shift is None else shift, found, rows, height * width, channels, factor),
        *(shift is not None, _ROWS, _CHANNELS),
        enable_fp_fusion=True,
    )
    return found


@triton.jit(do_not_specialize=_SIZES)
def _pixel_sum(
    x,
    other,
    found,
    pixels,
    channels,
    factor,
    product: tl.constexpr,
    n_rows: tl.constexpr,
    n_channels: tl.constexpr,
):
    image = tl.program_id(0)
    channel = tl.program_id(1) * n_channels + tl.arange(0, n_channels)
    total = tl.zeros((n_channels,), tl.float32)
    origin = image.to(tl.int64) * pixels * channels
    for start in range(0, pixels, n_rows):
        row = start + tl.arange(0, n_rows)
        exists = (row < pixels)[:, None] & (channel < channels)[None, :]
        at = origin + row[:, None] * channels + channel[None, :]
        values = tl.load(x + at, mask=exists, other=0.0).to(tl.float32)
        if product:
            values *= tl.load(other + at, mask=exists, other=0.0).to(tl.float32)
        total += tl.sum(values, axis=0)
    to = found + image * channels + channel
    tl.store(to, (total * factor).to(found.dtype.element_ty), mask=channel < channels)


@triton.jit(do_not_specialize=_SIZES)
def _scaled(
    x,
    scale,
    shift,
    found,
    rows,
    pixels,
    channels,
    factor,
    shifted: tl.constexpr,
    n_rows: tl.constexpr,
    n_channels: tl.constexpr,
):
    row = tl.program_id(0) * n_rows + tl.arange(0, n_rows)
    channel = tl.program_id(1) * n_channels + tl.arange(0, n_channels)
    exists = (row < rows)[:, None] & (channel < channels)[None, :]
    at = row.to(tl.int64)[:, None] * channels + channel[None, :]
    of_image = (row // pixels)[:, None] * channels + channel[None, :]
    values = tl.load(x + at, mask=exists, other=0.0).to(tl.float32)
    values *= tl.load(scale + of_image, mask=exists, other=0.0).to(tl.float32)
    if shifted:
        values += factor * tl.load(shift + of_image, mask=exists, other=0.0).to(tl.float32)
    tl.store(found + at, values.to(found.dtype.element_ty), mask=exists)
