"""How much of what a device can compute a training uses."""

from __future__ import annotations

import copy
import functools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from nas.util.counts import count
from nas.util.machine import synchronize

if TYPE_CHECKING:
    from torch import nn

_SMALLEST, _LARGEST = 256, 8192  # side of the product that is timed
_LONG = 0.005  # seconds from which a product is large enough: what starting it takes no longer counts
_TIMES = 5  # of which the fastest counts: other work on the machine only slows it down
_BACKWARD = 2  # forward passes that a backward pass costs, arXiv:2205.05198 appendix A


@dataclass(frozen=True)
class Roofline:
    """A training's work, and what its devices could do at best.

    Attributes:
        flops: Floating-point operations of one image, forward and backward: two for each
            multiply-accumulate; what gradient checkpointing computes again is not counted.
        peak: FLOP/s of a large matrix product in the training's number type, over all processes.
    """

    flops: float
    peak: float

    def share(self, images_per_second: float) -> float:
        """The part of the peak that a training at this speed reaches."""
        return self.flops * images_per_second / self.peak


def measure(
    model: nn.Module,
    shape: tuple[int, int, int],
    device: torch.device,
    dtype: torch.dtype | None,
    processes: int,
) -> Roofline | None:
    """Times a matrix product, which takes a fraction of a second.

    Args:
        model: The network.
        shape: Shape of an image, ``(C, H, W)``.
        device: Where this process trains.
        dtype: Data type of autocast, None for float32.
        processes: How many train, each on a device like this.

    Returns:
        None for a network whose operations cannot be counted, and on a device without room for the product.
    """
    try:
        macs = count(copy.deepcopy(model).to("meta"), shape[1], shape[0]).macs
    except Exception:  # whatever a user's network raises on the meta device
        return None
    try:
        peak = _peak(device, dtype or torch.float32)
    except torch.OutOfMemoryError:  # the training itself says so, if it has no room either
        return None
    return Roofline((1 + _BACKWARD) * 2.0 * macs, processes * peak)


@functools.cache  # one training after another, of several seeds
def _peak(device: torch.device, dtype: torch.dtype) -> float:
    """Computes FLOP/s of a product as large as the device needs; a larger one can take minutes."""
    side = _SMALLEST
    while (seconds := _product(side, device, dtype)) < _LONG and side < _LARGEST:
        side *= 2
    return 2.0 * side**3 / seconds


def _product(side: int, device: torch.device, dtype: torch.dtype) -> float:
    """Times the product of two square matrices, in seconds."""
    # Not of zeros or ones, with which a GPU draws less power and clocks higher.
    generator = torch.Generator(device).manual_seed(0)
    one, other = (torch.rand(side, side, device=device, generator=generator).to(dtype) for _ in range(2))
    fastest = float("inf")
    for _ in range(_TIMES + 1):
        synchronize(device)
        began = time.perf_counter()
        one @ other
        synchronize(device)
        fastest = min(fastest, time.perf_counter() - began)
    return fastest
