"""Other forms of a network, each written and then compared with the original."""

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
_BATCHES = (1, 3)  # compared; the example batch of both forms is another
_EXAMPLE_BATCH = 2
_TOLERANCE = 1e-3  # of the largest logit; measured: below 1e-5


def require_onnx() -> None:
    """Makes sure that the optional packages are there.

    Raises:
        UserError: If one is not.
    """
    missing = onnx_file.missing(_ONNX_PACKAGES)
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

    onnx_file.write(model, path, shape)
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
