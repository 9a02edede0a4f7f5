"""A network whose forward and backward pass ``torch.compile`` has made faster, where it can."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from nas.trial.onnx_file import quiet
from nas.util import output
from nas.util.errors import first_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor, nn


@dataclass(frozen=True)
class Compiled:
    """What to call in training, and a note if it is the network as it was."""

    call: Callable[[Tensor], Any]
    note: str = ""


def compiled(model: nn.Module, example: Tensor) -> Compiled:
    """Compiles a network and tries it once, forward and backward; weights and statistics stay as they were.

    Args:
        model: In training mode, on its device, in its wrappers.
        example: A batch as in training, ``(B, C, H, W)``.
    """
    output.doing("compiling the network")
    try:
        fast = torch.compile(model)
        with quiet(), _untouched(model):
            fast(example).float().sum().backward()
    except Exception as error:  # a missing compiler, a layer it cannot do: whatever it raises
        torch.compiler.reset()
        return Compiled(
            model, f"not compiled ({type(error).__name__}: {first_line(error)}); trained as it is"
        )
    return Compiled(fast)


@contextlib.contextmanager
def _untouched(model: nn.Module) -> Iterator[None]:
    """Puts back gradients, buffers and random numbers."""
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    devices = sorted({p.device.index for p in model.parameters() if p.device.type == "cuda"})
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        model.zero_grad(set_to_none=True)
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)
