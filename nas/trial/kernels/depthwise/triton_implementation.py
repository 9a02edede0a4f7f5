"""Depthwise convolutions by the kernels of :mod:`nas.trial.kernels.depthwise.triton_kernels`.

Imports Triton, so import it only where a GPU is used. Tiles follow from the shapes by fixed tables. Inputs
may be float32, float16 or bfloat16; those that are not channels_last are copied.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import torch

from nas.trial.kernels.depthwise.triton_kernels import add_parts, convolve, correlate

if TYPE_CHECKING:
    from torch import Tensor

_WARPS = 4
_CHANNELS = 64  # a cache line of 128 bytes holds 64 16-bit numbers
_ENOUGH = 1024  # programs: about eight for each of the 132 multiprocessors of an H100 or H200
# Rows of the kernel whose sums a thread holds at once: more compile slowly and spill registers.
_TAP_ROWS = {3: 3, 5: 3, 7: 4, 9: 3}
_UNITS_EACH = 4  # least rows in a share of the weight gradient: writing the share costs as much as one


class _Tile(NamedTuple):
    """What a program computes at once; ``first`` and ``last`` are those of ``triton_kernels.convolve``."""

    columns: int
    first: int
    last: int
    images: int

    @property
    def constants(self) -> dict[str, int]:
        """What both kernels are compiled for, besides their own."""
        own = {name.upper(): value for name, value in self._asdict().items()}
        return {**own, "CHANNELS": _CHANNELS, "num_warps": _WARPS, "enable_fp_fusion": True}


def prepare(weight: Tensor, x: Tensor, stride: int) -> Tensor:  # noqa: ARG001
    """Returns the taps, float32, ``(K * K, C)``."""
    return weight.reshape(len(weight), -1).t().contiguous().float()


def forward(x: Tensor, prepared: Tensor, stride: int) -> Tensor:
    """See ``implementations.Implementation``; the result is channels_last."""
    height, width = (-(-side // stride) for side in x.shape[2:])
    return _convolve(x, prepared, (1, -stride), (height, width))


def input_gradient(x: Tensor, gradient: Tensor, prepared: Tensor, stride: int) -> Tensor:
    """See ``implementations.Implementation``; the result is channels_last."""
    height, width = x.shape[2:]
    if stride == 1:
        return _convolve(gradient, prepared, (1, -1), (height, width), turned=True)
    return _convolve(gradient, prepared, (-stride, 1), (height, width))


def weight_gradient(x: Tensor, gradient: Tensor, size: int, stride: int) -> Tensor:
    """See ``implementations.Implementation``; the result is float32."""
    x, gradient = _channels_last(x), _channels_last(gradient)
    batch, channels, height, width = x.shape
    out_height, out_width = gradient.shape[2:]
    tile = _tile(size, (1, -stride), out_width, width, 2)
    tap_rows = _TAP_ROWS[size]
    blocks = _cdiv(channels, _CHANNELS), _cdiv(size, tap_rows)
    units = _cdiv(batch, tile.images) * out_height * _cdiv(out_width, tile.columns)
    shares = max(min(_cdiv(_ENOUGH, blocks[0] * blocks[1]), units // _UNITS_EACH), 1)
    units_each = _cdiv(units, shares)
    shares = _cdiv(units, units_each)
    parts = torch.empty(shares, size * size, channels, device=x.device)
    total = torch.empty(channels, 1, size, size, device=x.device)
    sizes, grid = (batch, channels, height, width, out_height, out_width), (*blocks, shares)
    with torch.cuda.device_of(x):
        correlate[grid](
            *(x, gradient, parts, *sizes, units, units_each),
            SIZE=size,
            STRIDE=stride,
            TAP_ROWS=tap_rows,
            **tile.constants,
        )
        add_parts[_cdiv(channels, 32), _cdiv(size * size, 8)](
            parts, total, channels, shares, TAPS=size * size, TAPS_EACH=8, CHANNELS=32, num_warps=2
        )
    return total


def _convolve(
    x: Tensor, taps: Tensor, meet: tuple[int, int], out: tuple[int, int], turned: bool = False
) -> Tensor:
    x = _channels_last(x)
    batch, channels, height, width = x.shape
    size = math.isqrt(len(taps))
    y = torch.empty(
        (batch, channels, *out), dtype=x.dtype, device=x.device, memory_format=torch.channels_last
    )
    tile = _tile(size, meet, out[1], width, 4)
    blocks, tiles = (_cdiv(channels, _CHANNELS), _cdiv(batch, tile.images)), _cdiv(out[1], tile.columns)
    rows = _cdiv(out[0], min(_cdiv(_ENOUGH, blocks[0] * blocks[1] * tiles), out[0]))
    grid = (*blocks, _cdiv(out[0], rows) * tiles)
    with torch.cuda.device_of(x):
        convolve[grid](
            *(x, taps, y, batch, channels, height, width, *out, rows),
            *((len(taps) - 1, -1) if turned else (0, 1)),
            SIZE=size,
            OF_INPUT=meet[0],
            OF_OUTPUT=meet[1],
            **tile.constants,
        )
    return y


def _tile(size: int, meet: tuple[int, int], out_width: int, width: int, numbers: int) -> _Tile:
    """Chooses a tile in which a thread holds at most ``numbers`` numbers of each output column."""
    columns = next((n for n in (4, 8) if out_width <= n), 16)
    if meet[0] == 1:
        first, last = -(size // 2), (columns - 1) * -meet[1] + size // 2 + 1
        most = columns * -meet[1]
    else:
        first, last = -(size // 2 // -meet[0]), (columns - 1 + size // 2) // -meet[0] + 1
        most = _cdiv(columns, -meet[0])
    if out_width <= columns and width <= most:
        first, last = 0, most  # the whole map
    return _Tile(columns, first, last, 32 * _WARPS * min(numbers, 32 // columns) // _CHANNELS)


def _channels_last(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


def _cdiv(number: int, by: int) -> int:
    return -(-number // by)
