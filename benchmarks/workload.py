"""What the speed benchmarks share: images, networks, the device's ceilings, the machine's name."""

from __future__ import annotations

import json
import sys
import time
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch
from torch import nn

import search_spaces
from nas.trial.trainer import wants_bf16
from nas.util import cli
from nas.util.counts import count
from nas.util.files import replacing
from nas.util.machine import hardware, synchronize, versions

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from search_spaces.base import Config

Options = TypeVar("Options")

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
    """Returns random pixels ``(n, 32, 32, 3)`` and labels ``(n,)``: speed does not depend on the content."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (n, SIDE, SIDE, 3), dtype=np.uint8), np.arange(n) % CLASSES


def network(wanted: str | Config, width: int, seed: int = 0) -> nn.Module:
    """Builds the reduced network of a configuration, or of one of the space's named points."""
    torch.manual_seed(seed)
    config = SPACE.points[wanted] if isinstance(wanted, str) else wanted
    return SPACE.build(config, SPACE.reduced(width, SIDE), CLASSES, 3, 0.0)


def seconds(run: Callable[[], object], device: torch.device, times: int = 5) -> float:
    """Returns wall seconds of a call: the median of some, after one that is not counted."""
    run()
    found = []
    for _ in range(times):
        synchronize(device)
        began = time.perf_counter()
        run()
        synchronize(device)
        found.append(time.perf_counter() - began)
    return float(np.median(found))


def ceilings(device: torch.device, dtype: torch.dtype) -> tuple[float, float]:
    """Measures the device's best: FLOP/s of a matrix product, bytes/s read and written by a copy."""
    size = _MATRIX[device.type]
    one, other = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    flops = 2 * size**3 / seconds(lambda: one @ other, device, 3)
    source = torch.empty(_COPY_BYTES[device.type], dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return flops, 2 * source.numel() / seconds(lambda: target.copy_(source), device)


def floors(model: nn.Module, batch_size: int, bytes_a_number: int) -> tuple[float, float]:
    """Computes the least operations and bytes of a training step, layer by layer.

    Backward costs twice the operations of forward. Bytes: every layer that is not a container reads its
    inputs and writes its outputs once forward and twice backward, from memory; a device whose cache
    holds them, or that fuses layers, moves fewer.

    Args:
        model: A network on the CPU.
        batch_size: Images per step.
        bytes_a_number: Size of an activation's element.

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


def number_type(device: torch.device) -> torch.dtype:
    """Returns the data type of a trial's activations on a device."""
    return torch.bfloat16 if wants_bf16("auto", device) else torch.float32


def roofline(
    wanted: str | Config, width: int, batch_size: int, limits: tuple[float, float], dtype: torch.dtype
) -> dict[str, float]:
    """Returns floors of a step, in seconds, and the images per second that the larger one allows.

    Args:
        wanted: As for :func:`network`.
        width: As for :func:`network`.
        batch_size: Images per step.
        limits: The ceilings, of :func:`ceilings`.
        dtype: Data type of activations.
    """
    flops, moved = floors(network(wanted, width), batch_size, dtype.itemsize)
    operations, bytes_ = flops / limits[0], moved / limits[1]
    most = batch_size / max(operations, bytes_)
    return {"operations_seconds": operations, "bytes_seconds": bytes_, "most": most}


def machine(device: torch.device) -> dict[str, Any]:
    """Returns command, date, hardware and versions, for the record."""
    return {
        "command": " ".join(["python", "-m", f"benchmarks.{Path(sys.argv[0]).stem}", *sys.argv[1:]]),
        "date": date.today().isoformat(),
        **hardware(device),
        **versions(),
    }


def write_json(path: Path | None, found: object) -> None:
    """Writes figures, if a file was asked for; readers never see a half-written one."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(found, indent=1) + "\n")


def replaced(page: str, mark: str, text: str) -> str:
    """Returns the page with ``text`` between a mark and its end.

    Raises:
        ValueError: If the page has no such marks.
    """
    before, begin, rest = page.partition(f"<!-- {mark} -->\n")
    _, end, after = rest.partition(f"<!-- /{mark} -->\n")
    if not begin or not end:
        raise ValueError(f"no <!-- {mark} --> and <!-- /{mark} --> in the page")
    return f"{before}{begin}\n{text}\n{end}{after}"


def command(main: Callable[[Options], object], options: type[Options], description: str | None) -> None:
    """Runs a benchmark from the command line; a user's error is one line."""
    prog = f"python -m benchmarks.{Path(sys.argv[0]).stem}"

    def run() -> int:
        main(cli.parse(options, prog=prog, description=description or ""))
        return 0

    cli.run(run, prog)
