# mypy: ignore-errors
# ruff: noqa: RUF005, SIM108 (Triton's language has no unpacking, and branches on constants are no choices)
"""Depthwise convolutions as GPU programs in Triton (https://triton-lang.org), for channels_last tensors.

A program computes whole rows of outputs for some channels of some images. Every thread holds a few channels
of an image and all output columns of a row as sums in registers: a number read once from memory takes part
in as many products as it has taps there, so that the arithmetic is the limit and not the reading. Rows and,
if a map is one tile wide, columns outside the map are left out, not multiplied by zero: on an 8x8 map that is
half of a 9x9 kernel's products.

Sums are float32 and their order is fixed, weight gradients included: no atomics.

Sizes of tensors are ordinary arguments that nothing is compiled for; ``triton.constexpr`` are only the
kernel's size, its stride and the tile. Positions: output ``o`` and input ``p`` meet in tap
``OF_INPUT * p + OF_OUTPUT * o + SIZE // 2``, forward with ``(1, -stride)``; the input's gradient, whose
input is the output's gradient, with ``(-stride, 1)``, or if the stride is 1 as forward, turned.
"""

from __future__ import annotations

import triton
import triton.language as tl

_SIZES = ["batch", "height", "width", "out_height", "out_width"]


@triton.jit
def _where(b, batch, known, inside):
    """``(len(b), len(known))``: which images and channels there are, if their pixel lies inside the map."""
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
    """Forward or input gradient.

    Programs: blocks of ``CHANNELS``, blocks of ``IMAGES``, and ``rows`` output rows of ``COLUMNS`` columns.

    Args:
        x: ``(batch, height, width, channels)``.
        taps: float32, ``(SIZE * SIZE, channels)``.
        y: ``(batch, out_height, out_width, channels)``, written.
        batch: Images.
        channels: Of each.
        height: Of ``x``.
        width: Of ``x``.
        out_height: Of ``y``.
        out_width: Of ``y``.
        rows: Output rows a program.
        tap_first: Where the first tap stands in ``taps``.
        tap_step: From a tap to the next; -1 turns the kernel round.
        SIZE: Of the kernel, odd.
        OF_INPUT: See the module.
        OF_OUTPUT: See the module.
        FIRST: The first input column that a tile of outputs meets, counted from the tile's own place.
        LAST: One beyond the last.
        COLUMNS: Output columns a tile.
        IMAGES: At once.
        CHANNELS: At once.
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
    """What each share of images and rows adds to the weight gradient.

    Programs: blocks of ``CHANNELS``, of ``TAP_ROWS`` rows of the kernel, and shares of the units. A unit is
    ``COLUMNS`` columns of one output row of ``IMAGES`` images.

    Args:
        x: The convolution's input, ``(batch, height, width, channels)``.
        gradient: Of its output, ``(batch, out_height, out_width, channels)``.
        parts: float32, ``(shares, SIZE * SIZE, channels)``, written.
        batch: Images.
        channels: Of each.
        height: Of ``x``.
        width: Of ``x``.
        out_height: Of ``gradient``.
        out_width: Of ``gradient``.
        units: In all.
        units_each: Of a share.
        SIZE: Of the kernel, odd.
        STRIDE: Of the convolution.
        TAP_ROWS: Rows of the kernel a program.
        FIRST: As for :func:`convolve`.
        LAST: As there.
        COLUMNS: As there.
        IMAGES: As there.
        CHANNELS: As there.
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
