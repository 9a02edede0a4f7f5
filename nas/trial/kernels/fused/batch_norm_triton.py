# mypy: allow-untyped-defs, allow-incomplete-defs
"""Batch norm and the activation that follows, forward and backward; Triton, channels_last.

Forward reads the input twice and writes the output once, backward reads input and gradient twice and writes
once; neither the norm's output nor the activation's is kept. Channels are the columns of a
``(B * H * W, C)`` matrix. Sums over rows are those of a fixed number of strips, merged in order: no atomic
additions, so equal inputs give equal results. Moments merge by Chan, Golub and LeVeque (1979), which does
not cancel where the mean is large.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl

from nas.trial.kernels.fused.activation_triton import activated, slope

if TYPE_CHECKING:
    from torch import Tensor

_ROWS, _CHANNELS = 32, 64  # of a tile; not measured on a GPU
_PROGRAMS = 1024  # enough to fill any GPU: the strips must not depend on the model
_STRIPS = 128  # at most
_SIZES = ("rows", "strip", "strips")


def statistics(
    x: Tensor, running: tuple[Tensor, Tensor, Tensor] | None, momentum: float, eps: float
) -> tuple[Tensor, Tensor]:
    """Computes each channel's mean and reciprocal standard deviation, ``(C,)``, float32.

    Args:
        x: Input ``(B, C, H, W)``, channels_last, with at least two numbers per channel.
        running: Running mean and (unbiased) variance, ``(C,)``, and count of batches, ``()``; updated.
        momentum: Weight of the batch in the running statistics.
        eps: Added to the variance.
    """
    rows, channels = _shape(x)
    strips, strip = _strips(rows, channels)
    parts = torch.empty(2, strips, channels, device=x.device, dtype=torch.float32)
    mean, scale = torch.empty(2, channels, device=x.device, dtype=torch.float32)
    _moments[triton.cdiv(channels, _CHANNELS), strips](
        x, parts, rows, strip, strips, channels, _ROWS, _CHANNELS, enable_fp_fusion=True
    )
    tracked = running is not None
    _merge[(triton.cdiv(channels, _CHANNELS),)](
        *(parts, mean, scale, *(running or (mean, mean, mean))),
        *(rows, strip, strips, channels, momentum, eps),
        *(tracked, _CHANNELS),
        enable_fp_fusion=True,
    )
    return mean, scale


def forward(
    x: Tensor, mean: Tensor, spread: Tensor, weight: Tensor, bias: Tensor, kind: str, eps: float | None
) -> Tensor:
    """Normalises, scales and activates; the result is like ``x``.

    Args:
        x: Input ``(B, C, H, W)``, channels_last.
        mean: Means ``(C,)``.
        spread: Variances ``(C,)``, or without ``eps`` the reciprocals of their roots.
        weight: Weights ``(C,)``.
        bias: Biases ``(C,)``.
        kind: Kind of activation.
        eps: Added to the variance; None if ``spread`` is not the variance.
    """
    rows, channels = _shape(x)
    found = torch.empty_like(x, memory_format=torch.channels_last)
    _forward[_tiles(rows, channels)](
        *(x, found, mean, spread, weight, bias, rows, channels, eps or 0.0),
        *(eps is not None, kind, _ROWS, _CHANNELS),
        enable_fp_fusion=True,
    )
    return found


def backward(
    x: Tensor, gradient: Tensor, mean: Tensor, scale: Tensor, weight: Tensor, bias: Tensor, kind: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Computes the gradients of input, weight and bias, the latter two ``(C,)``, float32.

    Args:
        x: The input, ``(B, C, H, W)``, channels_last.
        gradient: Gradient of the output, of the same shape and layout.
        mean: From :func:`statistics`.
        scale: From :func:`statistics`.
        weight: Weights ``(C,)``.
        bias: Biases ``(C,)``.
        kind: Kind of activation.
    """
    rows, channels = _shape(x)
    strips, strip = _strips(rows, channels)
    parts = torch.empty(strips, 2, channels, device=x.device, dtype=torch.float32)
    _sums[triton.cdiv(channels, _CHANNELS), strips](
        *(x, gradient, mean, scale, weight, bias, parts, rows, strip, channels),
        *(kind, _ROWS, _CHANNELS),
        enable_fp_fusion=True,
    )
    for_bias, for_weight = parts.sum(0)
    found = torch.empty_like(x, memory_format=torch.channels_last)
    _backward[_tiles(rows, channels)](
        *(x, gradient, found, mean, scale, weight, bias, for_weight, for_bias, rows, channels),
        *(kind, _ROWS, _CHANNELS),
        enable_fp_fusion=True,
    )
    return found, for_weight, for_bias


def _shape(x: Tensor) -> tuple[int, int]:
    batch, channels, height, width = x.shape
    return batch * height * width, channels


def _strips(rows: int, channels: int) -> tuple[int, int]:
    """Returns the number of strips and the rows of each."""
    wanted = min(_STRIPS, triton.cdiv(rows, _ROWS), triton.cdiv(_PROGRAMS, triton.cdiv(channels, _CHANNELS)))
    strip = triton.cdiv(triton.cdiv(rows, wanted), _ROWS) * _ROWS
    return triton.cdiv(rows, strip), strip


def _tiles(rows: int, channels: int) -> tuple[int, int]:
    return triton.cdiv(rows, _ROWS), triton.cdiv(channels, _CHANNELS)


@triton.jit
def _merged(count, mean, squares, more, its_mean, its_squares):
    """Merges count, mean and sum of squared deviations of two sets."""
    total = count + more
    share = more / total
    apart = its_mean - mean
    return total, mean + apart * share, squares + its_squares + apart * apart * count * share


@triton.jit(do_not_specialize=_SIZES)
def _moments(x, parts, rows, strip, strips, channels, n_rows: tl.constexpr, n_channels: tl.constexpr):
    channel = tl.program_id(0) * n_channels + tl.arange(0, n_channels)
    first = tl.program_id(1) * strip
    last = tl.minimum(first + strip, rows)
    count = 0.0
    mean = tl.zeros((n_channels,), tl.float32)
    squares = tl.zeros((n_channels,), tl.float32)
    for start in range(first, last, n_rows):
        row = start + tl.arange(0, n_rows)
        exists = (row < last)[:, None] & (channel < channels)[None, :]
        at = row.to(tl.int64)[:, None] * channels + channel[None, :]
        values = tl.load(x + at, mask=exists, other=0.0).to(tl.float32)
        here = tl.minimum(last - start, n_rows).to(tl.float32)
        its_mean = tl.sum(values, axis=0) / here
        apart = tl.where(exists, values - its_mean[None, :], 0.0)
        its_squares = tl.sum(apart * apart, axis=0)
        count, mean, squares = _merged(count, mean, squares, here, its_mean, its_squares)
    to = parts + tl.program_id(1) * channels + channel
    tl.store(to, mean, mask=channel < channels)
    tl.store(to + strips * channels, squares, mask=channel < channels)


@triton.jit(do_not_specialize=_SIZES)
def _merge(
    parts,
    mean_to,
    scale_to,
    running_mean,
    running_var,
    batches,
    rows,
    strip,
    strips,
    channels,
    momentum,
    eps,
    tracked: tl.constexpr,
    n_channels: tl.constexpr,
):
    channel = tl.program_id(0) * n_channels + tl.arange(0, n_channels)
    exists = channel < channels
    count = 0.0
    mean = tl.zeros((n_channels,), tl.float32)
    squares = tl.zeros((n_channels,), tl.float32)
    for number in range(strips):
        at = parts + number * channels + channel
        its_mean = tl.load(at, mask=exists, other=0.0)
        its_squares = tl.load(at + strips * channels, mask=exists, other=0.0)
        here = tl.minimum(rows - number * strip, strip).to(tl.float32)
        count, mean, squares = _merged(count, mean, squares, here, its_mean, its_squares)
    tl.store(mean_to + channel, mean, mask=exists)
    tl.store(scale_to + channel, 1.0 / tl.sqrt(squares / count + eps), mask=exists)
    if tracked:
        old = tl.load(running_mean + channel, mask=exists, other=0.0)
        tl.store(running_mean + channel, (1.0 - momentum) * old + momentum * mean, mask=exists)
        old = tl.load(running_var + channel, mask=exists, other=0.0)
        new = squares / (count - 1.0)
        tl.store(running_var + channel, (1.0 - momentum) * old + momentum * new, mask=exists)
        if tl.program_id(0) == 0:
            tl.store(batches, tl.load(batches) + 1)


@triton.jit
def _tile(rows, channels, n_rows: tl.constexpr, n_channels: tl.constexpr):
    """Returns offsets and mask of a tile's numbers, and its channels and their mask."""
    row = tl.program_id(0) * n_rows + tl.arange(0, n_rows)
    channel = tl.program_id(1) * n_channels + tl.arange(0, n_channels)
    at = row.to(tl.int64)[:, None] * channels + channel[None, :]
    return at, (row < rows)[:, None] & (channel < channels)[None, :], channel, channel < channels


@triton.jit(do_not_specialize=_SIZES)
def _forward(
    x,
    found,
    mean,
    spread,
    weight,
    bias,
    rows,
    channels,
    eps,
    of_variance: tl.constexpr,
    kind: tl.constexpr,
    n_rows: tl.constexpr,
    n_channels: tl.constexpr,
):
    at, exists, channel, within = _tile(rows, channels, n_rows, n_channels)
    scale = tl.load(spread + channel, mask=within, other=1.0).to(tl.float32)
    if of_variance:
        scale = 1.0 / tl.sqrt(scale + eps)
    centre = tl.load(mean + channel, mask=within, other=0.0).to(tl.float32)
    factor = tl.load(weight + channel, mask=within, other=0.0).to(tl.float32) * scale
    shift = tl.load(bias + channel, mask=within, other=0.0).to(tl.float32)
    values = tl.load(x + at, mask=exists, other=0.0).to(tl.float32)
    z = (values - centre[None, :]) * factor[None, :] + shift[None, :]
    tl.store(found + at, activated(z, kind).to(found.dtype.element_ty), mask=exists)


@triton.jit
def _before(x, gradient, at, exists, centre, scale, factor, shift, kind: tl.constexpr):
    """Computes the normalised input and the gradient before the activation."""
    values = tl.load(x + at, mask=exists, other=0.0).to(tl.float32)
    normal = (values - centre[None, :]) * scale[None, :]
    found = tl.load(gradient + at, mask=exists, other=0.0).to(tl.float32)
    return normal, found * slope(normal * factor[None, :] + shift[None, :], kind)


@triton.jit(do_not_specialize=_SIZES)
def _sums(
    x,
    gradient,
    mean,
    scale,
    weight,
    bias,
    parts,
    rows,
    strip,
    channels,
    kind: tl.constexpr,
    n_rows: tl.constexpr,
    n_channels: tl.constexpr,
):
    channel = tl.program_id(0) * n_channels + tl.arange(0, n_channels)
    within = channel < channels
    centre = tl.load(mean + channel, mask=within, other=0.0)
    its_scale = tl.load(scale + channel, mask=within, other=0.0)
    factor = tl.load(weight + channel, mask=within, other=0.0).to(tl.float32)
    shift = tl.load(bias + channel, mask=within, other=0.0).to(tl.float32)
    first = tl.program_id(1) * strip
    last = tl.minimum(first + strip, rows)
    plain = tl.zeros((n_channels,), tl.float32)
    weighted = tl.zeros((n_channels,), tl.float32)
    for start in range(first, last, n_rows):
        row = start + tl.arange(0, n_rows)
        exists = (row < last)[:, None] & within[None, :]
        at = row.to(tl.int64)[:, None] * channels + channel[None, :]
        normal, before = _before(x, gradient, at, exists, centre, its_scale, factor, shift, kind)
        plain += tl.sum(before, axis=0)
        weighted += tl.sum(before * normal, axis=0)
    to = parts + tl.program_id(1) * 2 * channels + channel
    tl.store(to, plain, mask=within)
    tl.store(to + channels, weighted, mask=within)


@triton.jit(do_not_specialize=_SIZES)
def _backward(
    x,
    gradient,
    found,
    mean,
    scale,
    weight,
    bias,
    for_weight,
    for_bias,
    rows,
    channels,
    kind: tl.constexpr,
    n_rows: tl.constexpr,
    n_channels: tl.constexpr,
):
    at, exists, channel, within = _tile(rows, channels, n_rows, n_channels)
    centre = tl.load(mean + channel, mask=within, other=0.0)
    its_scale = tl.load(scale + channel, mask=within, other=0.0)
    factor = tl.load(weight + channel, mask=within, other=0.0).to(tl.float32)
    shift = tl.load(bias + channel, mask=within, other=0.0).to(tl.float32)
    plain = tl.load(for_bias + channel, mask=within, other=0.0) / rows
    weighted = tl.load(for_weight + channel, mask=within, other=0.0) / rows
    normal, before = _before(x, gradient, at, exists, centre, its_scale, factor, shift, kind)
    values = before - plain[None, :] - normal * weighted[None, :]
    values *= (factor * its_scale)[None, :]
    tl.store(found + at, values.to(found.dtype.element_ty), mask=exists)
