"""Chooses the way to compute a depthwise convolution: a fixed rule by shape, without timing.

A training's results must not depend on what else the machine does, so the rule is fixed in advance. It
rests on these measurements:

**GPU** (one H200, bfloat16, channels_last, milliseconds: library / an earlier, simpler version of the Triton
kernels; 2026-11-26, torch 2.11):

| (B, C, H, W) | kernel | forward | input gradient | weight gradient |
|---|---|---|---|---|
| 256, 1536, 8, 8 | 9 | 5.10 / 0.45 | 1.82 / 0.45 | 10.9 / 1.45 |
| | 7 | 0.19 / 0.26 | 0.44 / 0.26 | 0.21 / 0.85 |
| | 5 | 0.10 / 0.14 | 0.17 / 0.14 | 0.13 / 0.46 |
| | 3 | 0.05 / 0.06 | 0.08 / 0.07 | 0.07 / 0.19 |
| 256, 512, 8, 8 | 9 | 1.69 / 0.15 | 0.60 / 0.15 | 3.28 / 0.59 |
| 256, 128, 16, 16 | 9 | 2.25 / 0.19 | 0.71 / 0.18 | 1.13 / 0.68 |
| 256, 512, 4, 4 | 9 | 0.19 / 0.08 | 0.15 / 0.08 | 0.35 / 0.54 |

Triton is chosen where that version was faster by more than 0.1 milliseconds or a fifth. The present kernels
and the matrix product were not measured on a GPU: ``python -m benchmarks.depthwise --device cuda`` measures
them and marks where this rule is wrong.

**CPU** (one core of an AMD EPYC, Zen 4, float32, milliseconds of processor time for the weight gradient of a
9x9 kernel: library / as a forward convolution / matrix product; the middle of 15 turns each in two calls of
``python -m benchmarks.depthwise --device cpu --side 16 --threads 1 --kernels 7 9 --turns 15``, other programs
beside it, 2026-11-26):

| (B, C, H, W) | |
|---|---|
| 128, 384, 4, 4 | 31.6 / 10.2 / 6.7, 39.6 / 11.4 / 6.8 |
| 128, 192, 4, 4 | 14.7 / 4.1 / 2.9, 13.9 / 4.7 / 3.3 |
| 128, 64, 4, 4 | 4.2 / 1.13 / 0.88, 3.8 / 1.17 / 0.92 |
| 64, 96, 4, 4 | 3.1 / 0.68 / 0.66, 3.4 / 0.90 / 0.73 |

With 32 images, on 2x2 or 7x7 maps, with 7x7 kernels, and for the other passes the matrix product was slower
or no faster. For kernels below 5x5 oneDNN's weight gradient is the fastest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

Pass = Literal["forward", "input_gradient", "weight_gradient"]
PASSES: tuple[Pass, ...] = ("forward", "input_gradient", "weight_gradient")

# Below this size oneDNN's weight gradient is faster.
_LEAST_AS_FORWARD = 5
# The matrix product is the faster weight gradient of this kernel on 3x3 and 4x4 maps of many images.
_MATMUL_KERNEL, _MATMUL_PIXELS, _MATMUL_BATCH = 9, range(3 * 3, 4 * 4 + 1), 64
# The kernels load 16 channels at once; the networks have multiples of 16, except in the narrowest stems.
_CHANNELS_AS_ONE = 16
_MEASURED_ON_GPU = (torch.bfloat16, torch.float16)  # bfloat16 was measured; float16 moves as many bytes
# From the table above: kernel size to passes.
_TRITON: Mapping[int, tuple[Pass, ...]] = {9: PASSES, 7: ("input_gradient",), 5: ("input_gradient",)}
_SMALL_MAP = 4 * 4  # pixels up to which the library's weight gradient is faster


@dataclass(frozen=True)
class Problem:
    """A convolution with an odd kernel and "same" padding of ``(batch, channels, height, width)``."""

    device: str
    dtype: torch.dtype
    batch: int
    channels: int
    height: int
    width: int
    size: int
    stride: int


class Choice(NamedTuple):
    """Each pass's implementation, by a name of :func:`nas.trial.kernels.depthwise.implementations.named`."""

    forward: str = "library"
    input_gradient: str = "library"
    weight_gradient: str = "library"


def choose(problem: Problem) -> Choice:
    """Chooses the implementations expected to be the fastest for a problem."""
    if problem.device == "cpu":
        return _on_cpu(problem)
    if problem.device == "cuda":
        return _on_gpu(problem)
    return Choice()


def candidates(device: str, dtype: torch.dtype, size: int, stride: int) -> list[tuple[Pass, str]]:
    """Lists what may be chosen for some input of a kernel, besides the library."""
    found: list[tuple[Pass, str]] = []
    if device == "cpu" and stride == 1 and size >= _LEAST_AS_FORWARD:
        found.append(("weight_gradient", "as_forward"))
        if size == _MATMUL_KERNEL:
            found.append(("weight_gradient", "matmul"))
    if device == "cuda" and stride == 1 and dtype in _MEASURED_ON_GPU:
        found += [(of, "triton") for of in _TRITON.get(size, ())]
    return found


def _on_cpu(problem: Problem) -> Choice:
    if problem.stride != 1 or problem.size < _LEAST_AS_FORWARD:
        return Choice()
    small = problem.height * problem.width in _MATMUL_PIXELS and problem.batch >= _MATMUL_BATCH
    product = small and problem.size == _MATMUL_KERNEL
    return Choice(weight_gradient="matmul" if product else "as_forward")


def _on_gpu(problem: Problem) -> Choice:
    whole = problem.channels % _CHANNELS_AS_ONE == 0
    if problem.stride != 1 or problem.dtype not in _MEASURED_ON_GPU or not whole:
        return Choice()
    choice = Choice(**dict.fromkeys(_TRITON.get(problem.size, ()), "triton"))
    if problem.height * problem.width <= _SMALL_MAP:
        return choice._replace(weight_gradient="library")
    return choice
