"""Other file formats of a network, each written and then compared with the original."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from nas.trial import onnx_file
from nas.util.commands import extra
from nas.util.errors import SettingError, UserError, setting

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

_ONNX_PACKAGES = ("onnx", "onnxruntime", "onnxscript")
_BATCHES = (1, 3)  # batch sizes compared; both formats are written with another one
_EXAMPLE_BATCH = 2
_TOLERANCE = 1e-3  # relative to the largest logit; measured: below 1e-5


def require_onnx() -> None:
    """Checks that the optional packages are installed.

    Raises:
        UserError: If one is missing.
    """
    missing = onnx_file.missing(_ONNX_PACKAGES)
    if missing:
        raise SettingError("onnx", None, f"needs {', '.join(missing)}; install with: {extra('export')}")


def write_onnx(model: nn.Module, path: Path, shape: tuple[int, int, int]) -> float:
    """Writes an ONNX file that accepts batches of any size, and checks it with onnxruntime.

    Args:
        model: The network, in evaluation mode, on the CPU.
        path: The file.
        shape: Shape ``(C, H, W)`` of an image.

    Returns:
        The largest difference between any two logits, as a share of the largest logit.

    Raises:
        UserError: If a package is missing or the outputs differ.
    """
    require_onnx()
    import onnxruntime

    onnx_file.write(model, path, shape)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def answer(images: Tensor) -> Tensor:
        return torch.from_numpy(session.run(["logits"], {"image": images.numpy()})[0])

    return _compare(f"{setting('onnx')}: onnxruntime", model, answer, shape)


def write_torch_export(model: nn.Module, path: Path, shape: tuple[int, int, int]) -> float:
    """Writes a ``torch.export`` program that accepts batches of any size, and checks it.

    Args:
        model: The network, in evaluation mode, on the CPU.
        path: The file, ``.pt2``.
        shape: Shape ``(C, H, W)`` of an image.

    Returns:
        See :func:`write_onnx`.

    Raises:
        UserError: If the outputs differ.
    """
    with onnx_file.quiet():
        program = torch.export.export(
            model, (onnx_file.images(_EXAMPLE_BATCH, shape),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)
        )
        torch.export.save(program, str(path))
        loaded = torch.export.load(str(path)).module()
    return _compare(f"{setting('torch_export')}: the program", model, loaded, shape)


def _compare(what: str, model: nn.Module, other: Any, shape: tuple[int, int, int]) -> float:
    worst = 0.0
    with torch.no_grad():
        for batch in _BATCHES:
            images = onnx_file.images(batch, shape)
            expected = model(images)
            difference = (other(images) - expected).abs().max() / expected.abs().max()
            worst = max(worst, difference.item())
    if not worst <= _TOLERANCE:
        raise UserError(f"{what} answers differently, by {worst:.1e} of the largest logit; not written")
    return worst
