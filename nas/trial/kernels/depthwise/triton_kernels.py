# mypy: ignore-errors
# ruff: noqa: RUF005, SIM108 (Triton's language has no unpacking, and branches on constants are no choices)
"""Depthwise convolutions as GPU programs in Triton (https://triton-lang.org), for channels_last tensors.

A program computes whole rows of outputs for some channels of some images. Each thread holds the sums of a few
channels of an image and all output columns of a row in registers: a number read once from memory takes part
in as many products as it has taps there, so that arithmetic is the limit and not memory. Rows and, if a map
is one tile wide, columns outside the map are skipped, not multiplied by zero: on an 8x8 map that saves half
of a 9x9 kernel's products.

Sums are float32 and their order is fixed, weight gradients included: no atomics.

Sizes of tensors are ordinary arguments, so no kernel is compiled for them; only the kernel's size, its stride
and the tile are ``triton.constexpr``. Positions: output ``o`` and input ``p`` meet in tap
``OF_INPUT * p + OF_OUTPUT * o + SIZE // 2``: forward with ``(1, -stride)``; the input gradient, whose input
is the output's gradient, with ``(-stride, 1)``, or for stride 1 as forward with the kernel rotated.
"""

from __future__ import annotations

import triton
import triton.language as tl

_SIZES = ["batch", "height", "width", "out_height", "out_width"]


@triton.jit
def _where(b, batch, known, inside):
    """Mask ``(len(b), len(known))`` of the images and channels that exist, if their pixel is in the map."""
    # Triton's interpreter makes integers of masks that are combined with a single truth value.
    return (b < tl.where(inside, batch, 0))[:, None] & known[None, :]


@triton.jit(do_not_specialize=[*_SIZES, "rows", "tap_first", "tap_step"])
def convolve(
    x,
    taps,
    y,
    batch,
    channels,
    height,
    width,
    out_height,
    out_width,
    rows,
    tap_first,
    tap_step,
    SIZE: tl.constexpr,
    OF_INPUT: tl.constexpr,
    OF_OUTPUT: tl.constexpr,
    FIRST: tl.constexpr,
    LAST: tl.constexpr,
    COLUMNS: tl.constexpr,
    IMAGES: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Computes the forward pass or the input gradient.

    Programs: blocks of ``CHANNELS``, blocks of ``IMAGES``, and ``rows`` output rows of ``COLUMNS`` columns.

    Args:
        x: Input ``(batch, height, width, channels)``.
        taps: Kernels ``(SIZE * SIZE, channels)``, float32.
        y: Output ``(batch, out_height, out_width, channels)``.
        batch: Number of images.
        channels: Channels of each image.
        height: Height of ``x``.
        width: Width of ``x``.
        out_height: Height of ``y``.
        out_width: Width of ``y``.
        rows: Output rows per program.
        tap_first: Index of the first tap in ``taps``.
        tap_step: Step from one tap to the next; -1 rotates the kernel by 180 degrees.
        SIZE: Height and width of the kernel, odd.
        OF_INPUT: See the module's docstring.
        OF_OUTPUT: See the module's docstring.
        FIRST: First input column that a tile of outputs meets, relative to the tile.
        LAST: One beyond the last such column.
        COLUMNS: Output columns per tile.
        IMAGES: Images per program.
        CHANNELS: Channels per program.
    """
    c = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    b = tl.program_id(1) * IMAGES + tl.arange(0, IMAGES)
    tiles = tl.cdiv(out_width, COLUMNS)
    column = tl.program_id(2) % tiles * COLUMNS
    row = tl.program_id(2) // tiles * rows
    known = c < channels
    image = b.to(tl.int64)[:, None]
    x += image * height * width * channels + c[None, :]
    y += image * out_height * out_width * channels + c[None, :]
    if OF_INPUT == 1:
        left = -column * OF_OUTPUT
    else:
        left = column // -OF_INPUT
    for h in range(row, tl.minimum(row + rows, out_height)):
        if OF_INPUT == 1:
            start = -h * OF_OUTPUT - SIZE // 2
            end = start + SIZE
        else:
            start = (h - SIZE // 2 - OF_INPUT - 1) // -OF_INPUT
            end = (h + SIZE // 2) // -OF_INPUT + 1
        sums = ()
        for _ in tl.static_range(COLUMNS):
            sums = sums + (tl.zeros((IMAGES, CHANNELS), tl.float32),)
        for r in range(tl.maximum(start, 0), tl.minimum(end, height)):
            i = OF_INPUT * r + OF_OUTPUT * h + SIZE // 2
            line = ()
            for j in tl.static_range(SIZE):
                place = taps + (tap_first + tap_step * (i * SIZE + j)) * channels + c
                tap = tl.load(place, mask=known, other=0.0)
                line = line + (tap[None, :],)
            for s in tl.static_range(FIRST, LAST):
                p = left + s
                inside = _where(b, batch, known, (p >= 0) & (p < width))
                value = tl.load(x + (r * width + p) * channels, mask=inside, other=0.0).to(tl.float32)
                added = ()
                for o in tl.static_range(COLUMNS):
                    if (
                        OF_INPUT * s + OF_OUTPUT * o + SIZE // 2 >= 0
                        and OF_INPUT * s + OF_OUTPUT * o + SIZE // 2 < SIZE
                    ):
                        added = added + (sums[o] + value * line[OF_INPUT * s + OF_OUTPUT * o + SIZE // 2],)
                    else:
                        added = added + (sums[o],)
                sums = added
        for o in tl.static_range(COLUMNS):
            inside = _where(b, batch, known, column + o < out_width)
            tl.store(y + (h * out_width + column + o) * channels, sums[o].to(y.dtype.element_ty), mask=inside)


@triton.jit(do_not_specialize=[*_SIZES, "units", "units_each"])
def correlate(
    x,
    gradient,
    parts,
    batch,
    channels,
    height,
    width,
    out_height,
    out_width,
    units,
    units_each,
    SIZE: tl.constexpr,
    STRIDE: tl.constexpr,
    TAP_ROWS: tl.constexpr,
    FIRST: tl.constexpr,
    LAST: tl.constexpr,
    COLUMNS: tl.constexpr,
    IMAGES: tl.constexpr,
    CHANNELS: tl.constexpr,
):
    """Computes what each share of images and rows adds to the weight gradient.

    Programs: blocks of ``CHANNELS``, of ``TAP_ROWS`` rows of the kernel, and shares of the units. A unit is
    ``COLUMNS`` columns of one output row of ``IMAGES`` images.

    Args:
        x: Input of the convolution, ``(batch, height, width, channels)``.
        gradient: Gradient of its output, ``(batch, out_height, out_width, channels)``.
        parts: Output ``(shares, SIZE * SIZE, channels)``, float32.
        batch: Number of images.
        channels: Channels of each image.
        height: Height of ``x``.
        width: Width of ``x``.
        out_height: Height of ``gradient``.
        out_width: Width of ``gradient``.
        units: Total number of units.
        units_each: Units of a share.
        SIZE: Height and width of the kernel, odd.
        STRIDE: Stride of the convolution.
        TAP_ROWS: Rows of the kernel per program.
        FIRST: See :func:`convolve`.
        LAST: See :func:`convolve`.
        COLUMNS: See :func:`convolve`.
        IMAGES: See :func:`convolve`.
        CHANNELS: See :func:`convolve`.
    """
    c = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    top = tl.program_id(1) * TAP_ROWS
    share = tl.program_id(2)
    known = c < channels
    tiles = tl.cdiv(out_width, COLUMNS)
    sums = ()
    for _ in tl.static_range(TAP_ROWS * SIZE):
        sums = sums + (tl.zeros((IMAGES, CHANNELS), tl.float32),)
    for unit in range(share * units_each, tl.minimum((share + 1) * units_each, units)):
        column = unit % tiles * COLUMNS
        h = unit // tiles % out_height
        b = unit // tiles // out_height * IMAGES + tl.arange(0, IMAGES)
        image = b.to(tl.int64)[:, None]
        rows = gradient + (image * out_height + h) * out_width * channels + c[None, :]
        seen = x + image * height * width * channels + c[None, :]
        line = ()
        for o in tl.static_range(COLUMNS):
            inside = _where(b, batch, known, column + o < out_width)
            line = line + (tl.load(rows + (column + o) * channels, mask=inside, other=0.0).to(tl.float32),)
        for t in tl.static_range(TAP_ROWS):
            r = h * STRIDE + top + t - SIZE // 2
            if (r >= 0) & (r < height) & (top + t < SIZE):
                mine = ()
                for j in tl.static_range(SIZE):
                    mine = mine + (sums[t * SIZE + j],)
                for s in tl.static_range(FIRST, LAST):
                    p = column * STRIDE + s
                    inside = _where(b, batch, known, (p >= 0) & (p < width))
                    value = tl.load(seen + (r * width + p) * channels, mask=inside, other=0.0).to(tl.float32)
                    added = ()
                    for j in tl.static_range(SIZE):
                        if (
                            s + SIZE // 2 - j >= 0
                            and (s + SIZE // 2 - j) % STRIDE == 0
                            and (s + SIZE // 2 - j) // STRIDE < COLUMNS
                        ):
                            added = added + (mine[j] + value * line[(s + SIZE // 2 - j) // STRIDE],)
                        else:
                            added = added + (mine[j],)
                    mine = added
                added = ()
                for k in tl.static_range(TAP_ROWS * SIZE):
                    if k // SIZE == t:
                        added = added + (mine[k % SIZE],)
                    else:
                        added = added + (sums[k],)
                sums = added
    for k in tl.static_range(TAP_ROWS * SIZE):
        place = parts + ((share * SIZE + top) * SIZE + k) * channels + c
        tl.store(place, tl.sum(sums[k], axis=0), mask=c < tl.where(top + k // SIZE < SIZE, channels, 0))


@triton.jit(do_not_specialize=["shares"])
def add_parts(
    parts, total, channels, shares, TAPS: tl.constexpr, TAPS_EACH: tl.constexpr, CHANNELS: tl.constexpr
):
    """Adds ``parts`` ``(shares, TAPS, channels)`` in order into ``total`` ``(channels, TAPS)``.

    Programs: blocks of ``CHANNELS`` and of ``TAPS_EACH`` taps.
    """
    c = tl.program_id(0) * CHANNELS + tl.arange(0, CHANNELS)
    tap = tl.program_id(1) * TAPS_EACH + tl.arange(0, TAPS_EACH)
    here = (tap < TAPS)[:, None] & (c < channels)[None, :]
    place = parts + tap[:, None] * channels + c[None, :]
    found = tl.zeros((TAPS_EACH, CHANNELS), tl.float32)
    for share in range(shares):
        found += tl.load(place + share * TAPS * channels, mask=here, other=0.0)
    tl.store(total + c[None, :] * TAPS + tap[:, None], found, mask=here)
