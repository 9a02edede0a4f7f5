"""The reduced network drawn as boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from search_spaces.diagram import Part
from search_spaces.nexception.geometry import MIN_WIDTH, reduced

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from search_spaces.nexception.geometry import Geometry

_POOLS = {"max": "max pool 3×3, /2", "blur": "max pool 3×3, blur /2", "conv": "sep conv 3×3, /2"}


def parts(config: Mapping[str, Any], width: int, image_size: int) -> list[Part]:
    """Returns the boxes of the reduced network (NEXcepTion, section 3), from input to output."""
    geometry = reduced(max(width, MIN_WIDTH), image_size)
    halved = [image_size]
    while len(halved) < 4:
        halved.append(-(-halved[-1] // 2))
    width, exit_chs = geometry.widths[0], geometry.exit_chs
    down, mid = config["kernel_down"], config["kernel_mid"]
    inner = 3 * width if config["bottleneck"] else width
    shortcut = f"1×1 conv /2, {config['norm']} norm"
    return [
        Part("stem", _stem(config, geometry), halved[1]),
        Part(
            "entry block", _block(config, (width, width), down, True, leading=False), halved[2], 1, shortcut
        ),
        Part("middle block", _block(config, (inner, width, width), mid), halved[2], geometry.depths[0], ""),
        Part("exit block", _block(config, (width, exit_chs[0]), down, True), halved[3], 1, shortcut),
        Part(
            "tail",
            tuple(
                f"sep conv 3×3, {chs} · {config['norm']} norm · {config['activation']}"
                for chs in exit_chs[1:]
            ),
            halved[3],
        ),
        Part("head", ("global average pool, linear",), 0),
    ]


def _stem(config: Mapping[str, Any], geometry: Geometry) -> tuple[str, ...]:
    norm = f"{config['norm']} norm"
    if config["stem"] == "patchify":
        return (f"conv 2×2 /2, {geometry.patchify_chs} · {config['activation']} · {norm}",)
    first, second = geometry.conv_chs
    return (
        f"conv 3×3 /2, {first} · {norm} · {config['activation']}",
        f"conv 3×3, {second} · {norm} · {config['activation']}",
    )


def _block(
    config: Mapping[str, Any], chs: Sequence[int], kernel: int, downsample: bool = False, leading: bool = True
) -> tuple[str, ...]:
    lines = []
    for place, out_chs in enumerate(chs, start=1):
        before = str(place) in config["activation_positions"] and (place > 1 or leading)
        line = f"{config['activation']} · " if before else ""
        line += f"sep conv {kernel}×{kernel}, {out_chs}"
        lines.append(line + (f" · {config['norm']} norm" if str(place) in config["norm_positions"] else ""))
    if downsample:
        lines.append(_POOLS[config["pool"]])
    if config["se"]:
        lines.append("squeeze-and-excitation")
    return tuple(lines)
