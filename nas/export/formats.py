"""Other forms of a network, each written and then compared with the original."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import torch

from nas.util.commands import extra
from nas.util.errors import SettingError, UserError, setting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor, nn

_ONNX_PACKAGES = ("onnx", "onnxruntime", "onnxscript")
_BATCHES = (1, 3)  # compared; the example batch is another, as a batch of 1 would be taken for fixed
_EXAMPLE_BATCH = 2
_TOLERANCE = 1e-3  # of the largest logit; measured: below 1e-5


def require_onnx() -> None:
    """Makes sure that the optional packages are there.

    Raises:
        UserError: If one is not.
    """
    missing = [name for name in _ONNX_PACKAGES if find_spec(name) is None]
    if missing:
        raise SettingError("onnx", None, f"needs {', '.join(missing)}; install with: {extra('export')}")


def write_onnx(model: nn.Module, path: Path, shape: tuple[int, int, int]) -> float:
    """Writes an ONNX file that takes any number of images, and checks it with onnxruntime.

    Args:
        model: In evaluation mode, on the CPU.
        path: The file.
        shape: An image's ``(C, H, W)``.

    Returns:
        The largest difference between any two logits, as a share of the largest logit.

    Raises:
        UserError: If a package is missing or the answers differ.
    """
    require_onnx()
    import onnxruntime

    with _quiet():
        program: Any = torch.onnx.export(
            model,
            (_images(_EXAMPLE_BATCH, shape),),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            input_names=["image"],
            output_names=["logits"],
            verbose=False,
        )
        program.save(str(path))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def answer(images: Tensor) -> Tensor:
        return torch.from_numpy(session.run(["logits"], {"image": images.numpy()})[0])

    return _compare(f"{setting('onnx')}: onnxruntime", model, answer, shape)


def write_torch_export(model: nn.Module, path: Path, shape: tuple[int, int, int]) -> float:
    """Writes a ``torch.export`` program that takes any number of images, and checks it.

    Args:
        model: In evaluation mode, on the CPU.
        path: The file, ``.pt2``.
        shape: An image's ``(C, H, W)``.

    Returns:
        As :func:`write_onnx`.

    Raises:
        UserError: If the answers differ.
    """
    with _quiet():
        program = torch.export.export(
            model, (_images(_EXAMPLE_BATCH, shape),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)
        )
        torch.export.save(program, str(path))
        loaded = torch.export.load(str(path)).module()
    return _compare(f"{setting('torch_export')}: the program", model, loaded, shape)


def _compare(what: str, model: nn.Module, other: Any, shape: tuple[int, int, int]) -> float:
    worst = 0.0
    with torch.no_grad():
        for batch in _BATCHES:
            images = _images(batch, shape)
            expected = model(images)
            difference = (other(images) - expected).abs().max() / expected.abs().max()
            worst = max(worst, difference.item())
    if not worst <= _TOLERANCE:
        raise UserError(f"{what} answers differently, by {worst:.1e} of the largest logit; not written")
    return worst


def _images(batch: int, shape: tuple[int, int, int]) -> Tensor:
    return torch.randn(batch, *shape, generator=torch.Generator().manual_seed(batch))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps the exporters' progress reports and warnings about their own internals away."""
    disabled = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
