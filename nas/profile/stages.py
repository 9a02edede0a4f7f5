"""The structure of networks, stage by stage and side by side: NEXcepTion's Tables 4, 5 and 6.

It is read from the network, not from a description: one image passes through it on the meta device, and
kernel, width, stride and output of every convolution, linear layer, pooling and squeeze-and-excitation are
recorded.
"""

from __future__ import annotations

import csv
import io
import math
import re
from dataclasses import dataclass, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from nas.export import loading
from nas.util import tables
from nas.util.counts import Stats, count
from nas.util.errors import SettingError, first_line, setting
from nas.util.files import overwrite, written

if TYPE_CHECKING:
    from pathlib import Path

    from nas.export.loading import LoadableNetwork

_BLOCK = re.compile(r"Block|Bottleneck|InvertedResidual")  # timm's names of repeated modules
_SHORTCUTS = ("shortcut", "skip", "downsample")  # names of shortcuts in such a block
_PIPE_WIDTH = 46  # characters per column; a terminal reports its width
_XCEPTION = "legacy_xception"  # timm's model, with the layout of ours


@dataclass(frozen=True)
class Layer:
    """One layer, or a depthwise convolution with the pointwise one after it.

    Attributes:
        kind: conv, depthwise (the paper's d), linear, pool or se.
        kernel: Height and width of the kernel; 0 for none.
        width: Number of output channels.
        stride: Stride of its convolutions or pooling.
        shape: Shape of the output, ``(C, H, W)`` or ``(C,)``.
        block: Name of its block, "" outside of blocks.
        shortcut: Whether it runs beside the block's branch.
        word: Name of the pooling.
    """

    kind: str
    kernel: int
    width: int
    stride: int
    shape: tuple[int, ...]
    block: str
    shortcut: bool
    word: str = ""

    def __str__(self) -> str:
        """Formats the layer as in the paper, with the stride if it is not 1."""
        stride = f", s={self.stride}" if self.stride > 1 else ""
        if self.kind == "se":
            return "SE"
        if self.kind == "pool":
            return f"{self.word} {self.kernel}×{self.kernel}{stride}"
        if self.kind == "linear":
            return f"1×1, {self.width}"
        mark = "d" if self.kind == "depthwise" else ""
        return f"{mark}{self.kernel}×{self.kernel}, {self.width}{stride}"


@dataclass(frozen=True)
class Part:
    """A block, repeated some number of times, or a layer between blocks.

    ``stride`` is the product of the strides of its convolutions and poolings; ``strided_first`` says that it
    is 1 from the second repetition on.
    """

    layers: tuple[Layer, ...]
    repeats: int = 1
    strided_first: bool = False

    @property
    def branch(self) -> list[Layer]:
        """Layers that are not on the shortcut."""
        return [layer for layer in self.layers if not layer.shortcut]

    @property
    def stride(self) -> int:
        """Product of the strides of the branch."""
        return math.prod(layer.stride for layer in self.branch)

    @property
    def likeness(self) -> list[tuple[object, ...]]:
        """What must be equal for blocks to be merged: everything except strides and shortcuts."""
        return [(layer.kind, layer.kernel, layer.width, layer.word) for layer in self.branch]

    @property
    def lines(self) -> list[str]:
        """Lines as in the paper's tables, including the shortcut."""
        branch = [replace(layer, stride=1) if self.strided_first else layer for layer in self.branch]
        inner = [str(layer) for layer in branch]
        beside = ", ".join(str(layer) for layer in self.layers if layer.shortcut)
        if self.repeats > 1:
            first = f", the first s={self.stride}" if self.strided_first else ""
            inner = [f"[{'; '.join(inner)}] × {self.repeats}{first}"]
        return [*inner, f"shortcut {beside}"] if beside else inner


@dataclass(frozen=True)
class Network:
    """A network and its sections by name, in order; ``flows``: whether they follow Xception's layout."""

    name: str
    image_size: int
    stats: Stats
    flows: bool
    sections: dict[str, tuple[Part, ...]]

    def output(self, section: str) -> str:
        """Returns the size of a section's output."""
        shape = self.sections[section][-1].branch[-1].shape
        return "×".join(map(str, (*shape[1:], shape[0])))


def look(models: tuple[str, ...], input_size: int | None, spaces: tuple[str, ...] = ()) -> list[Network]:
    """Analyses networks.

    Args:
        models: Exported folders, or models that timm knows.
        input_size: Height and width of the images in pixels, instead of each network's.
        spaces: Custom spaces whose code may run, as the user named them.

    Raises:
        UserError: If there is no such network, or the size does not fit.
    """
    named = [loading.find(model, *spaces) for model in models]
    networks = [(one, one.create()) for one in named]
    flows = all(_has_flows(one, network) for one, network in networks)
    return [_network(one, network, input_size, flows) for one, network in networks]


def _has_flows(named: LoadableNetwork, network: nn.Module) -> bool:
    """Whether a network has the layout of Xception, with an entry, a middle and an exit flow."""
    return named.timm_name == _XCEPTION or bool(getattr(network, "flows", False))


def _network(named: LoadableNetwork, model: Any, input_size: int | None, flows: bool) -> Network:
    from timm.data import resolve_model_data_config

    channels, size = resolve_model_data_config(model)["input_size"][:2]
    size = input_size or size
    model = model.to("meta").eval()
    try:
        stats = count(model, size, channels)
        parts = _parts(_layers(model, torch.empty(1, channels, size, size, device="meta")))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise SettingError("input_size", size, f"does not fit {named.name} ({first_line(error)})") from error
    return Network(named.name, size, stats, flows, (_flows if flows else _resolutions)(parts))


def _layers(model: nn.Module, image: torch.Tensor) -> list[Layer]:
    """Records the layers in the order in which they run."""
    found: list[Layer] = []
    blocks: list[str] = []
    units: list[str] = []
    handles = []
    for name, module in model.named_modules():
        kind = type(module).__name__
        if name and _BLOCK.search(kind) and not name.startswith(tuple(f"{block}." for block in blocks)):
            blocks.append(name)
        if name.startswith(tuple(f"{unit}." for unit in units)) or not _is_unit(module):
            continue
        units.append(name)
        block = next((one for one in blocks if name.startswith(f"{one}.")), "")
        beside = bool(block) and name[len(block) + 1 :].partition(".")[0] in _SHORTCUTS

        def note(
            layer: nn.Module, _: Any, out: torch.Tensor, block: str = block, beside: bool = beside
        ) -> None:
            found.append(_layer(layer, out, block, beside))

        handles.append(module.register_forward_hook(note))
    with torch.no_grad():
        model(image)
    for handle in handles:
        handle.remove()
    return _blurred(found)


def _is_unit(module: nn.Module) -> bool:
    kinds = ("SeparableConv2d", "SqueezeExcite", "SEModule", "BlurPool2d")
    return type(module).__name__ in kinds or isinstance(module, nn.Conv2d | nn.Linear | nn.MaxPool2d)


def _layer(module: nn.Module, out: torch.Tensor, block: str, beside: bool) -> Layer:
    kind = type(module).__name__
    shape = tuple(out.shape[1:])
    if isinstance(module, nn.Linear):
        shape = (shape[-1], *shape[:-1])  # channels come last there
        return Layer("linear", 1, module.out_features, 1, shape, block, beside)
    if kind in ("SqueezeExcite", "SEModule"):
        return Layer("se", 0, shape[0], 1, shape, block, beside)
    if kind == "BlurPool2d":
        blur: Any = module
        return Layer("pool", blur.filt_size, shape[0], blur.stride, shape, block, beside, "BlurPool")
    if isinstance(module, nn.MaxPool2d):
        kernel, stride = _side(module.kernel_size), _side(module.stride)
        return Layer("pool", kernel, shape[0], stride, shape, block, beside, "MaxPool")
    conv = next(layer for layer in module.modules() if isinstance(layer, nn.Conv2d))
    name = "depthwise" if kind == "SeparableConv2d" or conv.groups == conv.in_channels > 1 else "conv"
    return Layer(name, _side(conv.kernel_size), shape[0], _side(conv.stride), shape, block, beside)


def _side(value: Any) -> int:
    return int(value[0] if isinstance(value, tuple) else value)


def _blurred(layers: list[Layer]) -> list[Layer]:
    """Merges a max pooling of stride 1 and the blur pooling after it into one layer."""
    joined: list[Layer] = []
    for layer in layers:
        before = joined[-1] if joined else None
        if layer.word == "BlurPool" and before and (before.word, before.stride) == ("MaxPool", 1):
            joined[-1] = replace(layer, kernel=before.kernel, word="MaxBlurPool")
        else:
            joined.append(layer)
    return joined


def _parts(layers: list[Layer]) -> list[Part]:
    parts: list[Part] = []
    for block, own in groupby(layers, key=lambda layer: layer.block):
        part = Part(tuple(own))
        last = parts[-1] if parts else None
        alike = last is not None and last.layers[0].block and last.likeness == part.likeness
        if block and last is not None and alike and part.stride == 1:
            parts[-1] = replace(last, repeats=last.repeats + 1, strided_first=last.stride > 1)
        else:
            parts.append(part)
    return parts


def _flows(parts: list[Part]) -> dict[str, tuple[Part, ...]]:
    """Sections as in Tables 5 and 6: the blocks that keep the map's size, and those before and after."""
    blocks = [place for place, part in enumerate(parts) if part.layers[0].block]
    kept = [place for place in blocks if parts[place].stride == 1]
    first, begin, end = blocks[0], (kept or blocks[-1:])[0], kept[-1] + 1 if kept else blocks[-1]
    tail, head = replace(parts[-1], layers=parts[-1].layers[:-1]), Part(parts[-1].layers[-1:])
    sections = {
        "Stem": parts[:first],
        "Entry flow": parts[first:begin],
        "Middle flow": parts[begin:end],
        "Exit flow": [*parts[end:-1], tail],
        "Output": [head],
    }
    return {name: tuple(own) for name, own in sections.items()}


def _resolutions(parts: list[Part]) -> dict[str, tuple[Part, ...]]:
    """Sections as in Table 4: a new one wherever the map becomes smaller."""
    sections: dict[str, list[Part]] = {"stem": []}
    number = 1
    for place, part in enumerate(parts):
        inside = bool(part.layers[0].block)
        if place == len(parts) - 1 and part.layers[-1].kind == "linear" and not inside:
            if part.layers[:-1]:
                sections[next(reversed(sections))].append(replace(part, layers=part.layers[:-1]))
            sections["output"] = [Part(part.layers[-1:])]
            continue
        if (inside and number == 1) or (number > 1 and part.stride > 1):
            number += 1
            sections[f"res{number}"] = []
        sections[next(reversed(sections))].append(part)
    return {name: tuple(own) for name, own in sections.items() if own}


def rows(networks: list[Network]) -> list[list[str]]:
    """Builds the table: a head, then one row per section; lines in a cell are separated by newlines."""
    table = [["", *(network.name for network in networks)]]
    table.append(["input", *(f"{network.image_size}×{network.image_size}" for network in networks)])
    names = list(dict.fromkeys(name for network in networks for name in network.sections))
    for name in sorted(names, key=lambda one: one.lower() == "output"):  # which stays the last
        cells = []
        for network in networks:
            own = network.sections.get(name, ())
            lines = [line for part in own for line in part.lines]
            if lines and name.lower() != "output":
                lines.append(f"→ {network.output(name)}")
            cells.append("\n".join(lines) or "–")
        table.append([name, *cells])
    table.append(["MACs", *(f"{network.stats.macs / 1e9:.2f} G" for network in networks)])
    table.append(["parameters", *(f"{network.stats.params / 1e6:.1f} M" for network in networks)])
    return table


def markdown(networks: list[Network]) -> str:
    """Formats the table as Markdown."""
    head, *body = [[cell.replace("\n", "<br>") for cell in row] for row in rows(networks)]
    return "\n".join(tables.markdown(head, body)) + "\n"


def write(target: Path, networks: list[Network]) -> list[str]:
    """Writes stages.md and stages.csv, one line per layer; returns their names.

    Raises:
        UserError: If the folder cannot be written.
    """
    buffer = io.StringIO()
    head = ("network", "section", "repeats", "kind", "kernel", "width", "stride", "output", "shortcut")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(head)
    for network in networks:
        for name, parts in network.sections.items():
            for part in parts:
                for layer in part.layers:
                    size = "×".join(map(str, layer.shape[1:]))
                    kind = layer.word or layer.kind
                    figures = (layer.kernel, layer.width, layer.stride, size, layer.shortcut)
                    writer.writerow((network.name, name, part.repeats, kind, *figures))
    with written(setting("output", target), "must be a folder"):
        target.mkdir(parents=True, exist_ok=True)
        for name, text in (("stages.md", markdown(networks)), ("stages.csv", buffer.getvalue())):
            overwrite(target / name, text)
    return ["stages.md", "stages.csv"]


def show(networks: list[Network]) -> None:
    """Prints the table."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    head, *body = rows(networks)
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", show_lines=True)
    for name in head:
        table.add_column(name, overflow="fold")
    for row in body:
        table.add_row(*map(Text, row))  # in which no bracket is a style
    tables.show(table, _PIPE_WIDTH * len(head))
    print("d: depthwise, with the width after the pointwise convolution; s: stride; linear layers are 1×1")
