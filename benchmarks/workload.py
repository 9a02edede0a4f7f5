"""What the speed benchmarks share: images, networks, the device's ceilings, the machine's name."""

from __future__ import annotations

import sys
import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

import search_spaces
from nas.data.device import DeviceData
from nas.data.images import checked
from nas.engine.machine import hardware, versions
from nas.models.stats import count

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

SPACE = search_spaces.get("nexception")
CLASSES, SIDE = 10, 32
_MATRIX = {"cpu": 2048, "cuda": 8192}
_COPY_BYTES = {"cpu": 1 << 28, "cuda": 1 << 30}
# Forward reads an activation and writes one. Backward reads the activation and the gradient of the
# output again and writes the input's: as much once more for the weights, where there are any.
_PASSES = 3
# LAMB reads weight, gradient and two moments and writes three of them; the average reads and writes.
_UPDATES = 9


def random_images(n: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Random pixels ``(n, 32, 32, 3)`` and labels ``(n,)``: speed does not depend on what is shown."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (n, SIDE, SIDE, 3), dtype=np.uint8), np.arange(n) % CLASSES


def random_data(device: str | torch.device, n: int = 12_000) -> DeviceData:
    """Random images on a device, a tenth of them for validation."""
    return DeviceData.place(checked("random", *random_images(n)), val_fraction=0.1, seed=0, device=device)


def network(point: str, width: int, seed: int = 0) -> nn.Module:
    """The reduced network of one of the space's named points."""
    torch.manual_seed(seed)
    return SPACE.build(SPACE.points[point], SPACE.reduced(width, SIDE), CLASSES, 3, 0.0)


def wait(device: torch.device) -> None:
    """Returns when the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds(run: Callable[[], object], device: torch.device, times: int = 5) -> float:
    """Wall seconds of a call: the median of some, after one that is not counted."""
    run()
    found = []
    for _ in range(times):
        wait(device)
        began = time.perf_counter()
        run()
        wait(device)
        found.append(time.perf_counter() - began)
    return float(np.median(found))


def ceilings(device: torch.device, dtype: torch.dtype) -> tuple[float, float]:
    """What the device reaches at best: FLOP/s of a matrix product, bytes/s read and written by a copy."""
    size = _MATRIX[device.type]
    one, other = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    flops = 2 * size**3 / seconds(lambda: one @ other, device, 3)
    source = torch.empty(_COPY_BYTES[device.type], dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return flops, 2 * source.numel() / seconds(lambda: target.copy_(source), device)


def floors(model: nn.Module, batch_size: int, bytes_a_number: int) -> tuple[float, float]:
    """Operations and bytes that a training step cannot do without, layer by layer.

    Backward costs twice the operations of forward. Bytes: every layer that is not a container reads its
    inputs and writes its outputs once forward and twice backward, from memory; a device whose cache
    holds them, or that fuses layers, moves fewer.

    Args:
        model: On the CPU.
        batch_size: Images a step.
        bytes_a_number: Of an activation.

    Returns:
        FLOPs (two for each multiply-accumulate) and bytes.
    """
    moved = 0

    def add(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal moved
        moved += sum(x.numel() for x in inputs) + output.numel()

    leaves = [m for m in model.modules() if not list(m.children()) and not isinstance(m, nn.Identity)]
    hooks = [module.register_forward_hook(add) for module in leaves]
    with torch.no_grad():
        model.eval()(torch.zeros(1, 3, SIDE, SIDE))
    for hook in hooks:
        hook.remove()
    stats = count(model, SIDE)
    traffic = _PASSES * moved * batch_size * bytes_a_number + _UPDATES * 4 * stats.params
    return 3 * 2.0 * stats.macs * batch_size, float(traffic)


def machine(device: torch.device) -> dict[str, Any]:
    """Command, date, hardware and versions, for the record."""
    return {
        "command": " ".join(["python", "-m", f"benchmarks.{Path(sys.argv[0]).stem}", *sys.argv[1:]]),
        "date": date.today().isoformat(),
        **hardware(device),
        **versions(),
    }
