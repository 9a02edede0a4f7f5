"""The reduced vision transformer drawn as boxes: tokens, blocks and head."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from search_spaces.diagram import Part
from search_spaces.vit.sizes import MIN_WIDTH, reduced

if TYPE_CHECKING:
    from collections.abc import Mapping

_NARROWEST = 8  # as search_spaces.vit.network has it, which imports torch


def parts(config: Mapping[str, Any], width: int, image_size: int) -> list[Part]:
    """Returns the boxes of the reduced network, from input to output."""
    geometry = reduced(max(width, MIN_WIDTH), image_size)
    chs, patch = geometry.channels(config["width"]), config["patch"] // geometry.patch_divisor
    side = -(-image_size // patch)
    token = config["pool"] == "token"
    tokens = (*_stem(config["stem"], patch, chs), "learnt positions" + (", class token" if token else ""))
    head = "layer norm · class token · linear" if token else "mean of all tokens · layer norm · linear"
    return [
        Part("tokens", tokens, side),
        Part(
            "block",
            _block(config, chs),
            side,
            config["depth"] * geometry.depth_unit,
            "around each of the two",
        ),
        Part("head", (head,), 0),
    ]


def _stem(kind: str, patch: int, chs: int) -> tuple[str, ...]:
    if kind == "patch":
        return (f"conv {patch}×{patch} /{patch}, {chs}",)
    halvings = patch.bit_length() - 1
    widths = [max(_NARROWEST, chs >> left) for left in reversed(range(halvings))]
    return (*(f"conv 3×3 /2, {width} · batch norm · relu" for width in widths), f"1×1 conv, {chs}")


def _block(config: Mapping[str, Any], chs: int) -> tuple[str, ...]:
    branches = (f"attention, {config['heads']} heads", f"MLP, {config['mlp_ratio'] * chs} · gelu")
    scale = f"{config['layer_scale_init']:.2g}" if config["layer_scale"] else ""
    if config["norm_place"] == "pre":
        layers = [
            (f"layer norm · {branch}", f"layer scale from {scale}" if scale else "") for branch in branches
        ]
        return tuple(line for pair in layers for line in pair if line)
    start = f" from {scale}" if scale else ""
    return tuple(f"{branch} · layer norm{start}" for branch in branches)
