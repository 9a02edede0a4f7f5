"""Times the layers between convolutions, fast and plain, forward and backward.

Both ways take turns on the same numbers, on a GPU as CUDA graphs, as in a trial. The floor is what reading
and writing the maps costs at the speed of a copy, in the fewest passes that the layer needs.
"""

from __future__ import annotations

import copy
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import torch
import tyro
from timm.layers import BlurPool2d, LayerNorm2d, SqueezeExcite
from torch import nn

from benchmarks.workload import ceilings, machine
from nas.trial.graphs import CudaRecorder
from nas.trial.kernels import FastLayers
from nas.util.machine import synchronize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    Shape = tuple[int, int, int, int]

_REPEATS = 20  # in a graph: a clock is read and a graph launched in some ten microseconds


@dataclass(frozen=True)
class LayersSettings:
    """What to time."""

    device: str = "cpu"
    """cpu, cuda or cuda:N."""
    width: int = 64
    """Width of the reduced network whose maps are taken."""
    batch_size: int = 128
    """Images at once."""
    times: int = 21
    """Turns; medians are told."""
    threads: int = 1
    """CPU threads."""
    json: Path | None = None
    """Writes all figures there."""


@dataclass(frozen=True)
class Layer:
    """A layer to be timed.

    Attributes:
        name: For people.
        build: Builds it for a number of channels.
        passes: Maps read and written, forward and backward, at the least; a halved map counts as a
            quarter.
    """

    name: str
    build: Callable[[int], nn.Module]
    passes: float


@dataclass(frozen=True)
class Row:
    """Milliseconds of forward and backward pass together."""

    layer: str
    shape: Shape
    plain_ms: float
    fast_ms: float
    floor_ms: float


def _blur(chs: int) -> nn.Module:
    return nn.Sequential(nn.MaxPool2d(3, 1, 1), BlurPool2d(chs, filt_size=3, stride=2))


def _squeeze(chs: int) -> nn.Module:
    return SqueezeExcite(chs, rd_ratio=1 / 16, rd_divisor=8, norm_layer=nn.BatchNorm2d)


# Batch norm: statistics read x; x to y; sums read x and dy; x and dy to dx. Layer norm: x to y; x and dy to
# dx. Squeeze: the mean reads x; x to y; the sum reads x and dy; dy to dx. Pools: x to y / 4; dy / 4 to dx.
LAYERS = (
    Layer("batch norm", lambda chs: nn.Sequential(nn.BatchNorm2d(chs)), 8),
    Layer("batch norm, ReLU", lambda chs: nn.Sequential(nn.BatchNorm2d(chs), nn.ReLU(inplace=True)), 8),
    Layer("batch norm, GELU", lambda chs: nn.Sequential(nn.BatchNorm2d(chs), nn.GELU()), 8),
    Layer("layer norm", lambda chs: nn.Sequential(LayerNorm2d(chs)), 5),
    Layer("layer norm, GELU", lambda chs: nn.Sequential(LayerNorm2d(chs), nn.GELU()), 5),
    Layer("blur pooling", lambda chs: nn.Sequential(_blur(chs)), 2.5),
    Layer("max pooling", lambda _: nn.Sequential(nn.MaxPool2d(3, 2, 1)), 2.5),
    Layer("squeeze-and-excitation", lambda chs: nn.Sequential(_squeeze(chs)), 7),
)


def maps(width: int, batch_size: int) -> list[Shape]:
    """Of the reduced network on 32x32 images: where it pools, and of its middle blocks, bottleneck too."""
    quarter = max(width // 4, 1)
    return [
        (batch_size, quarter, 16, 16),
        (batch_size, width, 8, 8),
        (batch_size, 3 * width, 8, 8),
    ]


def rows(options: LayersSettings) -> Iterator[Row]:
    """Times every layer on every map; notes of what does not work here are printed."""
    device = torch.device(options.device)
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    fast_layers = FastLayers(device, on_note=lambda text: print(text, flush=True))
    _, bandwidth = ceilings(device, dtype)
    for layer in LAYERS:
        for shape in maps(options.width, options.batch_size):
            plain = layer.build(shape[1]).to(device)
            fast = copy.deepcopy(plain)
            fast_layers.install(fast)
            x = torch.randn(shape, device=device).to(dtype, memory_format=torch.channels_last)
            spent = _in_turns([plain, fast], x, options.times)
            floor = layer.passes * x.numel() * x.element_size() / bandwidth
            yield Row(layer.name, shape, *(round(1e3 * one, 4) for one in (*spent, floor)))


def _in_turns(layers: list[nn.Module], x: Tensor, times: int) -> list[float]:
    """Median seconds of each; CPU seconds on a CPU, which others may use as well."""
    spent: list[list[float]] = [[] for _ in layers]
    runs = [_step(layer, x) for layer in layers]
    for turn in range(times + 1):
        for run, found in zip(runs, spent, strict=True):
            seconds = _seconds(run, x.device)
            if turn:
                found.append(seconds)
    return [median(found) for found in spent]


def _step(layer: nn.Module, x: Tensor) -> Callable[[], object]:
    """Forward and backward pass; on a GPU some of them, recorded."""
    x = x.detach().requires_grad_()
    half = x.dtype != torch.float32

    def once() -> None:
        x.grad = None
        with torch.autocast(x.device.type, x.dtype if half else None, enabled=half):
            out = layer(x * 1)  # as in a network: not a leaf, so that activations may work in place
        out.backward(out.detach())

    if not x.is_cuda:
        return once

    def often() -> None:
        for _ in range(_REPEATS):
            once()

    return CudaRecorder().record(often)


def _seconds(run: Callable[[], object], device: torch.device) -> float:
    if device.type == "cpu":
        began = time.process_time()
        run()
        return time.process_time() - began
    synchronize(device)
    began = time.perf_counter()
    run()
    synchronize(device)
    return (time.perf_counter() - began) / _REPEATS


def main() -> None:
    """Prints a Markdown table."""
    options = tyro.cli(LayersSettings, description=__doc__)
    device = torch.device(options.device)
    torch.set_num_threads(options.threads)
    about = machine(device)
    print(f"`{about['command']}`, {about['date']}\n")
    print("| layer | map | plain, ms | fast, ms | times as fast | floor, ms |\n|---|---|---|---|---|---|")
    found = []
    for row in rows(options):
        found.append(row)
        ratio = row.plain_ms / row.fast_ms
        size = ", ".join(map(str, row.shape))
        print(f"| {row.layer} | {size} | {row.plain_ms} | {row.fast_ms} | {ratio:.2f} | {row.floor_ms} |")
    if options.json:
        options.json.write_text(json.dumps({**about, "rows": [asdict(row) for row in found]}, indent=1))


if __name__ == "__main__":
    main()
