# mypy: allow-untyped-defs, allow-incomplete-defs
"""Layer norm over the channels of each pixel and the activation that follows; Triton, channels_last.

A program holds all channels of some pixels, so forward reads and writes once and backward reads input and
gradient once and writes once; mean and deviation are recomputed rather than kept. The weight's gradient
is a sum over a fixed number of strips, without atomic additions: equal inputs give equal results.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl

from nas.trial.kernels.fused.activation_triton import activated, slope

if TYPE_CHECKING:
    from torch import Tensor

_NUMBERS = 2048  # per program, where channels are few; not measured on a GPU
_STRIPS = 512  # at most
_SIZES = ("rows", "strip")


def forward(x: Tensor, weight: Tensor, bias: Tensor, eps: float, kind: str) -> Tensor:
    """Normalises, scales and activates; the result is like ``x``.

    Args:
        x: Input ``(B, C, H, W)``, channels_last.
        weight: Weights ``(C,)``.
        bias: Biases ``(C,)``.
        eps: Added to the variance.
        kind: Kind of activation.
    """
    rows, channels, n_rows, n_channels = _shape(x)
    found = torch.empty_like(x, memory_format=torch.channels_last)
    _forward[(triton.cdiv(rows, n_rows),)](
        *(x, found, weight, bias, rows, channels, eps),
        *(kind, n_rows, n_channels),
        enable_fp_fusion=True,
    )
    return found


def backward(
    x: Tensor, gradient: Tensor, weight: Tensor, bias: Tensor, eps: float, kind: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Computes the gradients of input, weight and bias, the latter two ``(C,)``, float32.

    Args:
        x: The input, ``(B, C, H, W)``, channels_last.
        gradient: Gradient of the output, of the same shape and layout.
        weight: Weights ``(C,)``.
        bias: Biases ``(C,)``.
        eps: Added to the variance.
        kind: Kind of activation.
    """
    rows, channels, n_rows, n_channels = _shape(x)
    strip = triton.cdiv(triton.cdiv(rows, _STRIPS), n_rows) * n_rows
    strips = triton.cdiv(rows, strip)
    parts = torch.empty(strips, 2, channels, device=x.device, dtype=torch.float32)
    found = torch.empty_like(x, memory_format=torch.channels_last)
    _backward[(strips,)](
        *(x, gradient, found, weight, bias, parts, rows, strip, channels, eps),
        *(kind, n_rows, n_channels),
        enable_fp_fusion=True,
    )
    for_weight, for_bias = parts.sum(0)
    return found, for_weight, for_bias


def _shape(x: Tensor) -> tuple[int, int, int, int]:
    """Returns the numbers of pixels and channels, of the tensor and of a program."""
    batch, channels, height, width = x.shape
    n_channels = triton.next_power_of_2(channels)
    return batch * height * width, channels, max(_NUMBERS // n_channels, 1), n_channels


@triton.jit
def _normal(x, row, last, channel, channels, eps):
    """Returns offsets, mask, the normalised input and its scale."""
    exists = (row < last)[:, None] & (channel < channels)[None, :]
    at = row.to(tl.int64)[:, None] * channels + channel[None, :]
    values = tl.load(x + at, mask=exists, other=0.0).to(tl.float32)
    mean = tl.sum(values, axis=1) / channels
    apart = tl.where(exists, values - mean[:, None], 0.0)
    scale = 1.0 / tl.sqrt(tl.sum(apart * apart, axis=1) / channels + eps)
    return at, exists, apart * scale[:, None], scale


@triton.jit(do_not_specialize=_SIZES)
def _forward(
    x,
    found,
    weight,
    bias,
    rows,
    channels,
    eps,
    kind: tl.constexpr,
    n_rows: tl.constexpr,
    n_channels: tl.constexpr,
):
    row = tl.program_id(0) * n_rows + tl.arange(0, n_rows)
    channel = tl.arange(0, n_channels)
    factor = tl.load(weight + channel, mask=channel < channels, other=0.0).to(tl.float32)
    shift = tl.load(bias + channel, mask=channel < channels, other=0.0).to(tl.float32)
    at, exists, normal, _ = _normal(x, row, rows, channel, channels, eps)
    z = normal * factor[None, :] + shift[None, :]
    tl.store(found + at, activated(z, kind).to(found.dtype.element_ty), mask=exists)


@triton.jit(do_not_specialize=_SIZES)
def _backward(
    x,
    gradient,
    found,
    weight,
    bias,
    parts,
    rows,
    strip,
    channels,
    eps,
    kind: tl.constexpr,
    n_rows: tl.constexpr,
    n_channels: tl.constexpr,
):
    channel = tl.arange(0, n_channels)
    within = channel < channels
    factor = tl.load(weight + channel, mask=within, other=0.0).to(tl.float32)
    shift = tl.load(bias + channel, mask=within, other=0.0).to(tl.float32)
    first = tl.program_id(0) * strip
    last = tl.minimum(first + strip, rows)
    for_weight = tl.zeros((n_channels,), tl.float32)
    for_bias = tl.zeros((n_channels,), tl.float32)
    for start in range(first, last, n_rows):
        row = start + tl.arange(0, n_rows)
        at, exists, normal, scale = _normal(x, row, last, channel, channels, eps)
        before = tl.load(gradient + at, mask=exists, other=0.0).to(tl.float32)
        before *= slope(normal * factor[None, :] + shift[None, :], kind)
        for_bias += tl.sum(before, axis=0)
        for_weight += tl.sum(before * normal, axis=0)
        before *= factor[None, :]
        plain = tl.sum(before, axis=1) / channels
        weighted = tl.sum(before * normal, axis=1) / channels
        values = (before - plain[:, None] - normal * weighted[:, None]) * scale[:, None]
        tl.store(found + at, values.to(found.dtype.element_ty), mask=exists)
    to = parts + tl.program_id(0) * 2 * channels + channel
    tl.store(to, for_weight, mask=within)
    tl.store(to + channels, for_bias, mask=within)
