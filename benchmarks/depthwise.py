"""Compares all ways to compute the depthwise convolutions of the reduced networks, and the memory bound.

Prints a table of milliseconds, one row per shape and pass, and marks where the rule of
``nas.trial.kernels.depthwise.rule`` does not choose the fastest: if that is so on a quiet device, the
rule is to be changed.
"""

from __future__ import annotations

import itertools
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import nn

from benchmarks.workload import CLASSES, SIDE, SPACE, ceilings, machine
from nas.trial.kernels.depthwise import implementations
from nas.trial.kernels.depthwise.layer import is_depthwise
from nas.trial.kernels.depthwise.rule import PASSES, Pass, Problem, choose
from nas.util.cli import parse, run
from nas.util.errors import UserError, first_line
from nas.util.machine import find_device, synchronize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from torch import Tensor

PROG = "python -m benchmarks.depthwise"
WAYS = {"cpu": ("library", "as_forward", "matmul"), "cuda": ("library", "matmul", "triton")}
_BATCHES = {512: 256}  # paper's; others train with 128
_MATMUL_MAP = 16 * 16  # pixels: beyond, the matrices are larger than the images
_NOISE = 1.1  # a way is called faster from here on
_CALLS_SECONDS = {"cpu": 0.02, "cuda": 0.003}  # a turn: as many calls as take so long


@dataclass(frozen=True)
class DepthwiseSettings:
    """What to time."""

    device: str = "auto"
    """Where: auto, cpu, cuda or cuda:N."""
    widths: tuple[int, ...] = (512, 64)
    """Widths of the reduced networks; 512 with a batch of 256, others with 128."""
    side: int = SIDE
    """Of the images, pixels: maps are a half, a quarter and an eighth of it."""
    batch: int = 0
    """Another batch for all; 0: as above."""
    kernels: tuple[Literal[3, 5, 7, 9], ...] = (3, 5, 7, 9)
    """Sizes to time."""
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    """auto: bfloat16 on a GPU, float32 on a CPU."""
    turns: int = 7
    """Number of turns of each way; the median counts."""
    threads: int = 0
    """CPU threads; 0: as PyTorch likes."""
    quick: bool = False
    """A batch of 8, width 16, one turn: shows that it runs, no more."""


@dataclass(frozen=True)
class Row:
    """The time of one pass of one shape.

    Attributes:
        problem: The shape.
        of: The pass.
        chosen: The way of the rule.
        ms: Milliseconds by way.
        failed: Ways that raised an error, and which.
        floor: Milliseconds that reading and writing maps once takes.
    """

    problem: Problem
    of: Pass
    chosen: str
    ms: dict[str, float]
    floor: float
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def better(self) -> str:
        """The way that is faster than the rule's, if there is one."""
        fastest = min(self.ms, key=lambda name: self.ms[name])
        slow = self.ms.get(self.chosen, float("inf")) > _NOISE * self.ms[fastest]
        return fastest if slow else ""


def problems(
    width: int, side: int, batch: int, device: str, dtype: torch.dtype, kernels: Iterable[int]
) -> list[Problem]:
    """The depthwise convolutions of all networks of the space at a width, each once, the largest first."""
    found: dict[Problem, None] = {}
    for stem, kernel, bottleneck, pool in itertools.product(
        ("patchify", "conv"), kernels, (True, False), ("conv", "max")
    ):
        config = {
            **SPACE.default,
            "stem": stem,
            "kernel_down": kernel,
            "kernel_mid": kernel,
            "bottleneck": bottleneck,
            "pool": pool,
        }
        with torch.device("meta"):
            model = SPACE.build(config, SPACE.reduced(width, side), CLASSES, 3, 0.0).eval()

            def add(conv: nn.Module, inputs: tuple[Tensor, ...]) -> None:
                assert isinstance(conv, nn.Conv2d)
                channels, height, across = inputs[0].shape[1:]
                shape = (batch, channels, height, across, conv.kernel_size[0], conv.stride[0])
                found[Problem(device, dtype, *shape)] = None

            for module in model.modules():
                if isinstance(module, nn.Conv2d) and is_depthwise(module):
                    module.register_forward_pre_hook(add)
            model(torch.zeros(1, 3, side, side))
    wanted = [problem for problem in found if problem.size in set(kernels)]
    return sorted(wanted, key=lambda p: (-p.height, -p.channels, p.stride, -p.size))


def measure(problem: Problem, bytes_a_second: float, turns: int, device: torch.device) -> list[Row]:
    """Times all ways for all passes of a shape, in turns."""
    out = [-(-side // problem.stride) for side in (problem.height, problem.width)]

    def maps(height: int, width: int) -> Tensor:
        shape = (problem.batch, problem.channels, height, width)
        numbers = torch.randn(shape, device=device, dtype=problem.dtype)
        return numbers.to(memory_format=torch.channels_last)

    x, gradient = maps(problem.height, problem.width), maps(*out)
    weight = torch.randn(problem.channels, 1, problem.size, problem.size, device=device)
    moved = (x.numel() + gradient.numel()) * x.element_size()
    rows = []
    for of, chosen in zip(PASSES, choose(problem), strict=True):
        calls = {name: _call(name, of, x, weight, gradient, problem) for name in _applicable(problem, of)}
        ms, failed = _in_turns(calls, turns, device)
        rows.append(Row(problem, of, chosen, ms, 1e3 * moved / bytes_a_second, failed))
    return rows


def _applicable(problem: Problem, of: Pass) -> list[str]:
    left_out = {
        "as_forward": of != "weight_gradient" or problem.stride != 1,
        "matmul": problem.height * problem.width > _MATMUL_MAP,
    }
    return [name for name in WAYS[problem.device] if not left_out.get(name)]


def _call(
    name: str, of: Pass, x: Tensor, weight: Tensor, gradient: Tensor, problem: Problem
) -> Callable[[], object]:
    """One pass; forward prepares the weight, and the input's gradient uses what forward prepared."""

    def forward() -> object:
        way = implementations.named(name)
        return way.forward(x, way.prepare(weight, x, problem.stride), problem.stride)

    kept: list[Tensor] = []

    def input_gradient() -> object:
        way = implementations.named(name)
        if not kept:
            kept.append(way.prepare(weight, x, problem.stride))
        return way.input_gradient(x, gradient, kept[0], problem.stride)

    def weight_gradient() -> object:
        return implementations.named(name).weight_gradient(x, gradient, problem.size, problem.stride)

    return {"forward": forward, "input_gradient": input_gradient, "weight_gradient": weight_gradient}[of]


def _in_turns(
    calls: dict[str, Callable[[], object]], turns: int, device: torch.device
) -> tuple[dict[str, float], dict[str, str]]:
    """Median milliseconds of each call: on a CPU processor time over threads, on a GPU between its events."""
    repeats: dict[str, int] = {}
    failed: dict[str, str] = {}
    for name, call in calls.items():
        try:
            call()  # compiles
            repeats[name] = max(int(1e3 * _CALLS_SECONDS[device.type] / _time(call, 1, device)), 1)
        except Exception as error:  # the table shows it, and the others still count
            failed[name] = f"{type(error).__name__}: {first_line(error)}"
    times: dict[str, list[float]] = {name: [] for name in repeats}
    for _ in range(turns):
        for name, count in repeats.items():
            times[name].append(_time(calls[name], count, device))
    return {name: float(np.median(found)) for name, found in times.items()}, failed


def _time(call: Callable[[], object], repeats: int, device: torch.device) -> float:
    """Returns milliseconds per call."""
    if device.type == "cuda":
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        synchronize(device)
        start.record()
        for _ in range(repeats):
            call()
        end.record()
        end.synchronize()
        return max(start.elapsed_time(end), 1e-4) / repeats
    began = time.process_time()
    for _ in range(repeats):
        call()
    return max(1e3 * (time.process_time() - began) / repeats / torch.get_num_threads(), 1e-4)


def table(rows: Iterable[Row], names: Iterable[str]) -> str:
    """Returns a Markdown table: one row per shape and pass, with what the rule should have chosen."""
    names = list(names)
    head = ["(B, C, H, W)", "kernel, stride", "pass", *names, "bytes floor", "rule", "faster"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for row in rows:
        problem = row.problem
        shape = f"{problem.batch}, {problem.channels}, {problem.height}, {problem.width}"
        ms = [f"{row.ms[name]:.3f}" if name in row.ms else "failed" * (name in row.failed) for name in names]
        better = row.better and f"**{row.better}** {row.ms.get(row.chosen, np.inf) / row.ms[row.better]:.1f}x"
        kernel = f"{problem.size}, {problem.stride}"
        cells = [shape, kernel, row.of.replace("_", " "), *ms, f"{row.floor:.3f}", row.chosen, better]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(options: DepthwiseSettings) -> int:
    """Measures and prints.

    Raises:
        UserError: If there is no such device, or a number is out of range.
    """
    for flag, value, least in (
        ("batch", options.batch, 0),
        ("threads", options.threads, 0),
        ("turns", options.turns, 1),
    ):
        if value < least:
            raise UserError(f"--{flag} {value}: must be at least {least}")
    device = find_device(options.device)
    if options.threads:
        torch.set_num_threads(options.threads)
    usual = "bfloat16" if device.type == "cuda" else "float32"
    dtype: torch.dtype = getattr(torch, usual if options.dtype == "auto" else options.dtype)
    print(json.dumps(machine(device)), f"{dtype}".removeprefix("torch."), sep="\n", flush=True)
    bytes_a_second = ceilings(device, torch.float32)[1]
    widths = (16,) if options.quick else options.widths
    turns = 1 if options.quick else options.turns
    for width in widths:
        batch = options.batch or (8 if options.quick else _BATCHES.get(width, 128))
        rows: list[Row] = []
        for problem in problems(width, options.side, batch, device.type, dtype, options.kernels):
            rows += measure(problem, bytes_a_second, turns, device)
        print(f"\nwidth {width}, batch {batch}, ms\n\n{table(rows, WAYS[device.type])}", flush=True)
        for row in rows:
            for name, reason in row.failed.items():
                print(f"{name}, {row.of}, {row.problem}: {reason}")
        wrong = sum(bool(row.better) for row in rows)
        print(f"\nthe rule is not the fastest in {wrong} of {len(rows)} rows")
    return 0


if __name__ == "__main__":
    run(lambda: main(parse(DepthwiseSettings, prog=PROG, description=__doc__)), PROG)
