"""A network as an ONNX file."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor, nn

_EXAMPLE_BATCH = 2  # a batch of 1 would be taken for fixed
WRITERS = ("onnx", "onnxscript")  # packages needed to write one


def missing(names: tuple[str, ...] = WRITERS) -> list[str]:
    """Returns those of the packages that are not installed."""
    return [name for name in names if find_spec(name) is None]


def write(
    model: nn.Module,
    path: Path,
    shape: tuple[int, int, int],
    *,
    sizes: bool = False,
    opset: int | None = None,
) -> None:
    """Writes an ONNX file that takes any number of images.

    Args:
        model: The network, in evaluation mode, on the CPU.
        path: The file.
        shape: An image's ``(C, H, W)``.
        sizes: Whether it takes images of any size.
        opset: Version of ONNX's operators; None for what PyTorch writes.
    """
    axes = {0: "batch", 2: "height", 3: "width"} if sizes else {0: "batch"}
    with quiet():
        program: Any = torch.onnx.export(
            model,
            (images(_EXAMPLE_BATCH, shape),),
            dynamo=True,
            dynamic_shapes=(axes,),
            input_names=["image"],
            output_names=["logits"],
            opset_version=opset,
            verbose=False,
        )
        program.save(str(path))


def images(batch: int, shape: tuple[int, int, int]) -> Tensor:
    """Returns random images ``(B, C, H, W)``, the same each time."""
    return torch.randn(batch, *shape, generator=torch.Generator().manual_seed(batch))


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppresses the exporters' progress reports and internal warnings."""
    disabled = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
