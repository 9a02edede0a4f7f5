"""The structure and costs of a network: block by block, and beside well-known networks."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.util import tables
from nas.util.quantities import format_count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console
    from torch import nn

    from search_spaces.base import SearchSpace
    from search_spaces.exporting import Reference

_NEAREST = 3


@dataclass(frozen=True)
class Row:
    """One block: its output ``(C, H, W)`` for one image, parameters and multiply-accumulates."""

    name: str
    shape: tuple[int, ...]
    params: int
    macs: int


@dataclass(frozen=True)
class Total:
    """A whole network at an input size in pixels."""

    name: str
    image_size: int
    params: int
    macs: int


# timm's networks of 0.2 to 18 GMACs that papers compare with; a test counts them, which takes seconds.
REFERENCES = (
    Total("mobilenetv3_large_100", 224, 5_483_032, 216_589_760),
    Total("efficientnet_b0", 224, 5_288_548, 385_814_752),
    Total("convnext_pico", 224, 9_045_672, 1_367_055_360),
    Total("resnet18", 224, 11_689_512, 1_814_073_344),
    Total("convnext_nano", 224, 15_593_560, 2_445_528_320),
    Total("resnet50", 224, 25_557_032, 4_089_184_256),
    Total("swin_tiny_patch4_window7_224", 224, 28_288_354, 4_490_566_656),
    Total("convnext_tiny", 224, 28_589_128, 4_455_531_264),
    Total("tf_efficientnetv2_s", 300, 21_458_488, 5_307_561_248),
    Total("resnet101", 224, 44_549_160, 7_801_405_440),
    Total("convnext_small", 224, 50_223_688, 8_683_712_256),
    Total("convnext_base", 224, 88_591_464, 15_354_729_472),
)


def rows(model: nn.Module, blocks: Mapping[str, nn.Module], image_size: int, in_chans: int) -> list[Row]:
    """Counts a network block by block, without computing anything; layers outside the blocks are in no row.

    Args:
        model: The network, on the meta device.
        blocks: Its blocks, by their names in it.
        image_size: Height and width of the images, pixels.
        in_chans: Number of image channels.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    model = model.eval()
    shapes: dict[str, tuple[int, ...]] = {}

    def note(name: str, output: object) -> None:
        if isinstance(output, torch.Tensor):
            shapes[name] = tuple(output.shape[1:])

    hooks = [
        block.register_forward_hook(lambda _, __, output, key=name: note(key, output))
        for name, block in blocks.items()
    ]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.empty(1, in_chans, image_size, image_size, device="meta"))
    for hook in hooks:
        hook.remove()
    flops, prefix = counter.get_flop_counts(), type(model).__name__
    return [
        Row(name, shapes[name], _params(block), sum(flops.get(f"{prefix}.{name}", {}).values()) // 2)
        for name, block in blocks.items()
        if name in shapes and not isinstance(block, torch.nn.Identity)
    ]


def reference(space: SearchSpace, known: Reference, num_classes: int = 1000) -> Total:
    """Counts the network of a space that others are compared with."""
    import torch

    from nas.util.counts import count

    size = known.geometry.image_size
    with torch.device("meta"):
        stats = count(space.network(known.config, known.geometry, num_classes), size)
    return Total(known.name, size, stats.params, stats.macs)


def measured(name: str, ghost: nn.Module, image_size: int, in_chans: int) -> Total:
    """What a network on the meta device costs, for square images of ``image_size`` pixels."""
    from nas.util.counts import count

    stats = count(ghost, image_size, in_chans)
    return Total(name, image_size, stats.params, stats.macs)


def nearest(own: Total) -> list[Total]:
    """Returns timm's best-known networks of similar size, the nearest first."""
    return sorted(REFERENCES, key=lambda other: _distance(own, other))[:_NEAREST]


def show(rows: list[Row], totals: list[Total], console: Console | None = None) -> None:
    """Prints the blocks and the totals, the first of which is the network itself."""
    from rich.console import Console

    console = console or Console()
    table = tables.table("blocks", "", "output", "params", "MACs")
    compare = tables.table("beside others", "", "input", "params", "MACs")
    for row in rows:
        shape = " x ".join(map(str, row.shape))
        table.add_row(row.name, shape, format_count(row.params), format_count(row.macs))
    for i, other in enumerate(totals):
        size = str(other.image_size)
        figures = (format_count(other.params), format_count(other.macs))
        compare.add_row(other.name, size, *figures, style="bold" if i == 0 else None)
    console.print(table)
    console.print(compare)
    own = totals[0]
    console.print(f"{own.name}: {own.params:,} params, {own.macs:,} MACs", highlight=False)


def _params(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _distance(one: Total, other: Total) -> float:
    """Returns the distance of two costs in a plot with logarithmic axes."""
    return math.hypot(math.log(one.params / other.params), math.log(one.macs / other.macs))
