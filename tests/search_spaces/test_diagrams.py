"""What a space draws has the layers of what it builds, counted in words and in the built module."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.layers import BatchNormAct2d, LayerScale, LayerScale2d, SqueezeExcite
from timm.models._efficientnet_blocks import SqueezeExcite as Squeeze
from timm.models.vision_transformer import Attention
from torch import nn

import search_spaces
from search_spaces.diagram import Part

WIDTHS = {"resnet": 8, "mobilenet": 4, "vit": 48}
NORMS = (nn.BatchNorm2d, nn.LayerNorm, BatchNormAct2d)


def counted(parts: list[Part], word: str) -> int:
    """How often a word comes: in each of a box's repeats, but only once where it says "first:"."""
    found = 0
    for part in parts:
        for line in (*part.lines, part.residual or ""):
            found += len(re.findall(word, line)) * (1 if line.startswith("first:") else part.repeats)
    return found


def built(module: nn.Module, kinds: Any, within: Any = ()) -> int:
    outer = [one for one in module.modules() if within and isinstance(one, within)]
    inner = {id(child) for one in outer for child in one.modules()}
    return sum(isinstance(one, kinds) and id(one) not in inner for one in module.modules())


@pytest.mark.parametrize("name", WIDTHS)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), image_size=st.sampled_from([8, 28, 32]))
def test_layers(name: str, seed: int, image_size: int) -> None:
    space = search_spaces.get(name)
    (config,) = space.sample(1, seed)
    parts = space.diagram(config, WIDTHS[name], image_size)
    network = space.network(config, space.reduced(WIDTHS[name], image_size), 10)
    squeezes = (SqueezeExcite, Squeeze)
    assert counted(parts, r"\bconv\b|\bdepthwise\b") == built(network, nn.Conv2d, squeezes)
    assert counted(parts, r"\bnorm\b") == built(network, NORMS, squeezes)
    assert counted(parts, "squeeze-and-excitation") == built(network, squeezes)
    assert counted(parts, "attention") == built(network, Attention)
    assert counted(parts, "layer scale") == built(network, (LayerScale, LayerScale2d))


@pytest.mark.parametrize("name", WIDTHS)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), image_size=st.sampled_from([8, 30, 32]))
def test_the_last_map_is_as_large_as_drawn(name: str, seed: int, image_size: int) -> None:
    space = search_spaces.get(name)
    (config,) = space.sample(1, seed)
    (*_, last, head) = space.diagram(config, WIDTHS[name], image_size)
    network: Any = space.network(config, space.reduced(WIDTHS[name], image_size), 10).eval()
    with torch.no_grad():
        features = network.forward_features(torch.zeros(1, 3, image_size, image_size))
    shown = features.shape[-1] if features.ndim == 4 else round(features.shape[1] ** 0.5)
    assert (last.size, head.size) == (shown, 0)


@pytest.mark.parametrize("name", WIDTHS)
def test_every_configuration_has_the_same_boxes(name: str) -> None:
    """The figure lays two networks side by side, box by box; a run's width may be less than allowed now."""
    space = search_spaces.get(name)
    counts = {len(space.diagram(config, 0, 32)) for config in [space.default, *space.sample(50, 1)]}
    assert len(counts) == 1


def test_a_resnet_bottleneck_and_a_convnext_block() -> None:
    space = search_spaces.get("resnet")
    resnet, convnext = (space.diagram(space.points[name], 16, 32) for name in ("resnet50", "convnext_tiny"))
    assert resnet[2].lines == (
        "1×1 conv, 32 · batch norm · relu",
        "conv 3×3 (/2), 32 · batch norm · relu",
        "1×1 conv, 128 · batch norm",
        "sum · relu",
    )
    assert (resnet[2].repeats, resnet[2].residual, resnet[2].size) == (2, "first: 1×1 conv /2, batch norm", 8)
    assert convnext[2].lines == (
        "first: layer norm · conv 2×2 /2, 48",
        "depthwise 7×7, 48 · layer norm",
        "1×1 conv, 192 · gelu",
        "1×1 conv, 48",
        "layer scale",
    )
    assert convnext[2].residual == ""
