"""How much of what a device can compute a training uses."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from nas.util.counts import count

if TYPE_CHECKING:
    from torch import nn

_MATRIX = {"cuda": 8192, "cpu": 1024}  # side of the product that is timed
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
        None for a network whose operations cannot be counted.
    """
    try:
        macs = count(copy.deepcopy(model).to("meta"), shape[1], shape[0]).macs
    except Exception:  # whatever a user's network raises on the meta device
        return None
    return Roofline((1 + _BACKWARD) * 2.0 * macs, processes * _peak(device, dtype or torch.float32))


def _peak(device: torch.device, dtype: torch.dtype) -> float:
    side = _MATRIX.get(device.type, _MATRIX["cpu"])
    # Not of zeros or ones, with which a GPU draws less power and clocks higher.
    generator = torch.Generator(device).manual_seed(0)
    one, other = (torch.rand(side, side, device=device, generator=generator).to(dtype) for _ in range(2))
    fastest = float("inf")
    for _ in range(_TIMES + 1):
        _wait(device)
        began = time.perf_counter()
        one @ other
        _wait(device)
        fastest = min(fastest, time.perf_counter() - began)
    return 2.0 * side**3 / fastest


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
