"""The reduced residual network drawn as boxes: a box for the stem, each stage and the head."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from search_spaces.diagram import Part
from search_spaces.resnet.sizes import BASE, MIN_WIDTH, reduced

if TYPE_CHECKING:
    from collections.abc import Mapping

_EXPANSION = 4  # as search_spaces.resnet.blocks has it, which imports torch


def parts(config: Mapping[str, Any], width: int, image_size: int) -> list[Part]:
    """Returns the boxes of the reduced network, from input to output.

    Lines that begin with "first:" occur once in a stage, in or before its first block; "(/2)" is a stride.
    """
    geometry = reduced(max(width, MIN_WIDTH), image_size)
    first = round(config["width"] * geometry.width / BASE)
    norm, act = f"{config['norm']} norm", config["activation"]
    patches = config["stem"] == "patchify"
    stem = f"conv 2×2 /2, {first} · {norm}" if patches else f"conv 3×3 /2, {first} · {norm} · {act}"
    size, chs = image_size // 2 if patches else -(-image_size // 2), first
    drawn = [Part("stem", (stem,), size)]
    separate = config["downsampling"] == "separate"
    depths = geometry.depths if config["stage_ratio"] == "3:4:6:3" else geometry.depths_swin
    for number, depth in enumerate(depths):
        narrow = first * 2**number
        wide = _EXPANSION * narrow if _block(config) == "bottleneck" else narrow
        before = []
        halved = ""
        if number:
            size = size // 2 if separate else -(-size // 2)
            halved = "" if separate else " /2"
            before = [f"first: {norm} · conv 2×2 /2, {wide}"] if separate else []
        changed = bool(halved) or (chs != wide and not before)
        shortcut = f"first: 1×1 conv{halved}, {norm}" if changed else ""
        lines = (*before, *_lines(config, narrow, halved))
        drawn.append(Part(f"stage {number + 1}", lines, size, depth, shortcut))
        chs = wide
    last = f"global average pool · {norm} · linear" if separate else "global average pool · linear"
    return [*drawn, Part("head", (last,), 0)]


def _block(config: Mapping[str, Any]) -> str:
    """Returns the kind of block; a dense convolution stays in ResNet's."""
    return str(config.get("block", "bottleneck"))


def _lines(config: Mapping[str, Any], narrow: int, halved: str) -> tuple[str, ...]:
    kind, wide = _block(config), _EXPANSION * narrow
    outputs, spatial = {
        "bottleneck": ((narrow, narrow, wide), 1),
        "inverted": ((wide, wide, narrow), 1),
        "conv_first": ((narrow, wide, narrow), 0),
    }[kind]
    kernel = config.get("kernel", 3)
    conv = "depthwise" if config["conv"] == "depthwise" else "conv"
    lines = []
    for place, chs in enumerate(outputs):
        line = f"1×1 conv, {chs}"
        if place == spatial:
            line = f"{conv} {kernel}×{kernel}{halved and ' (/2)'}, {chs}"
        if place == spatial or config["norms"] == "all":
            line += f" · {config['norm']} norm"
        if place == 1 or (place == 0 and config["activations"] == "all"):
            line += f" · {config['activation']}"
        lines.append(line)
    if config["layer_scale"]:
        lines.append("layer scale")
    if config["activations"] == "all":
        lines.append(f"sum · {config['activation']}")
    return tuple(lines)
