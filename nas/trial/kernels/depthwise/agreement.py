"""Checks on the present device that what the rule may choose gives the results of the libraries."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch

from nas.trial.kernels.checked import TOLERANCES, example
from nas.trial.kernels.depthwise import implementations, library
from nas.trial.kernels.depthwise.rule import Pass, candidates

if TYPE_CHECKING:
    from torch import Tensor

    from nas.trial.kernels.checked import Checks
    from nas.trial.kernels.depthwise.implementations import Implementation

Agreed = frozenset[tuple[Pass, str]]

# Not multiples of a program's tile; 5 rows are enough for every tap of a 9x9 kernel to meet the map.
_BATCH, _CHANNELS, _HEIGHT = 5, 80, 5
# One for each width that the Triton kernels are compiled for, so that none is used unchecked.
_WIDTHS = (4, 7, 16, 19)


def agreed(device: torch.device, dtype: torch.dtype, size: int, stride: int, checks: Checks) -> Agreed:
    """Finds the implementations that the rule may choose for a kernel and that agree with the library.

    Args:
        device: Device to check on.
        dtype: Data type of the convolution's input and output.
        size: Height and width of the kernel.
        stride: Stride of the convolution.
        checks: Make the comparisons and remember their outcomes.
    """
    return frozenset(
        (of, way)
        for of, way in candidates(device.type, dtype, size, stride)
        if checks.passes(
            f"{size}x{size} depthwise convolution, {of.replace('_', ' ')} by {way.replace('_', ' ')}",
            (dtype, stride),
            partial(_computed, of, way, device, dtype, size, stride),
            partial(_exact, of, dtype, size, stride),
            TOLERANCES[dtype],
        )
    )


def _computed(
    of: Pass, name: str, device: torch.device, dtype: torch.dtype, size: int, stride: int
) -> list[Tensor]:
    examples = [_example(dtype, size, stride, width) for width in _WIDTHS]
    moved = [(x.to(device), weight.to(device), gradient.to(device)) for x, weight, gradient in examples]
    return [_result(implementations.named(name), of, *some, stride).cpu() for some in moved]


def _exact(of: Pass, dtype: torch.dtype, size: int, stride: int) -> list[Tensor]:
    """The library's results, float32 on the CPU: NVIDIA's library compiles for seconds per new shape."""
    examples = [_example(dtype, size, stride, width) for width in _WIDTHS]
    exact = [(x.float(), weight, gradient.float()) for x, weight, gradient in examples]
    return [_result(library, of, *some, stride) for some in exact]


def _result(
    way: Implementation, of: Pass, x: Tensor, weight: Tensor, gradient: Tensor, stride: int
) -> Tensor:
    if of == "weight_gradient":
        return way.weight_gradient(x, gradient, weight.shape[-1], stride)
    prepared = way.prepare(weight, x, stride)
    if of == "forward":
        return way.forward(x, prepared, stride)
    return way.input_gradient(x, gradient, prepared, stride)


def _example(dtype: torch.dtype, size: int, stride: int, width: int) -> tuple[Tensor, Tensor, Tensor]:
    """Input, weight and the output's gradient on the CPU, with values that ``dtype`` can hold."""
    out = -(-_HEIGHT // stride), -(-width // stride)
    shapes = (_BATCH, _CHANNELS, _HEIGHT, width), (_CHANNELS, 1, size, size), (_BATCH, _CHANNELS, *out)
    cpu = torch.device("cpu")
    x, weight, gradient = (example(*shape, device=cpu, dtype=dtype, seed=i) for i, shape in enumerate(shapes))
    return x, weight.float(), gradient
