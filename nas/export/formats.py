"""Other file formats of a network, each written and then compared with the original."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from nas.export import agreement
from nas.export.settings import OPSET
from nas.trial import onnx_file
from nas.util.commands import extra
from nas.util.errors import SettingError, UserError, first_line, setting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import Tensor, nn

    from nas.export.agreement import Answer, Shape

_ONNX_PACKAGES = ("onnx", "onnxruntime", "onnxscript")
_EXAMPLE_BATCH = 2


@dataclass(frozen=True)
class Agreement:
    """How well a form agrees with the network.

    Attributes:
        difference: See :func:`nas.export.agreement.difference`.
        sizes: Whether it takes images of any size.
    """

    difference: float
    sizes: bool


def require_onnx() -> None:
    """Checks that the optional packages are installed.

    Raises:
        UserError: If one is missing.
    """
    missing = onnx_file.missing(_ONNX_PACKAGES)
    if missing:
        raise SettingError("onnx", None, f"needs {', '.join(missing)}; install with: {extra('export')}")


def write_onnx(model: nn.Module, path: Path, shape: Shape, opset: int = OPSET) -> Agreement:
    """Writes an ONNX file that takes any number of images, of any size if it can, and checks it.

    Args:
        model: The network, in evaluation mode, on the CPU.
        path: The file.
        shape: An image's ``(C, H, W)``.
        opset: Version of ONNX's operators.

    Raises:
        UserError: If a package is missing, it cannot be written or the answers differ.
    """
    require_onnx()

    def write(sizes: bool) -> Answer:
        onnx_file.write(model, path, shape, sizes=sizes, opset=opset)
        return session(path)

    attempts = [(sizes, partial(write, sizes)) for sizes in (True, False)]
    return _agreed(f"{setting('onnx')}: onnxruntime", model, shape, attempts)


def session(path: Path) -> Answer:
    """What onnxruntime answers with a file, ``(B, C, H, W)`` to logits."""
    import onnxruntime

    running = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def answer(images: Tensor) -> Tensor:
        return torch.from_numpy(running.run(["logits"], {"image": images.numpy()})[0])

    return answer


def write_torch_export(model: nn.Module, path: Path, shape: Shape) -> Agreement:
    """Writes a ``torch.export`` program as :func:`write_onnx` does; ``path`` ends in ``.pt2``.

    Raises:
        UserError: If it cannot be written or the answers differ.
    """

    def write(sizes: bool) -> Answer:
        any_of = dict.fromkeys((0, 2, 3) if sizes else (0,), torch.export.Dim.DYNAMIC)
        example = (onnx_file.images(_EXAMPLE_BATCH, shape),)
        with onnx_file.quiet():
            program = torch.export.export(model, example, dynamic_shapes=(any_of,))
            torch.export.save(program, str(path))
            loaded: Answer = torch.export.load(str(path)).module()
        return loaded

    attempts = [(sizes, partial(write, sizes)) for sizes in (True, False)]
    return _agreed(f"{setting('torch_export')}: the program", model, shape, attempts)


def write_torchscript(model: nn.Module, path: Path, shape: Shape) -> Agreement:
    """Writes TorchScript that ``torch.jit.load`` reads, as :func:`write_onnx` does.

    It is traced; scripted where a trace has the images' size in it; and traced again where neither takes
    other sizes, with a check in it that refuses them: a trace alone could answer them wrongly.

    Raises:
        UserError: If it cannot be written or the answers differ.
    """
    jit: Any = torch.jit

    def traced() -> Any:
        return jit.trace(model, onnx_file.images(_EXAMPLE_BATCH, shape), check_trace=False)

    def write(make: Callable[[], Any]) -> Answer:
        # Deprecated in favour of torch.export, and still what older programs load.
        with onnx_file.quiet(), warnings.catch_warnings():
            jit.save(make(), str(path))
            loaded: Answer = jit.load(str(path))
        return loaded

    attempts = [
        (True, partial(write, traced)),
        (True, partial(write, lambda: jit.script(model))),
        (False, partial(write, lambda: jit.script(_OneSize(traced(), *shape)))),
    ]
    return _agreed(f"{setting('torchscript')}: the script", model, shape, attempts)


class _OneSize(torch.nn.Module):
    """A traced network that refuses images of another size than its own."""

    def __init__(self, network: torch.nn.Module, channels: int, height: int, width: int) -> None:
        super().__init__()
        self.network = network
        self.channels, self.height, self.width = channels, height, width

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """``(B, C, H, W)`` to ``(B, num_classes)``."""
        if image.shape[1:] != [self.channels, self.height, self.width]:
            raise ValueError("images must be of the size that the network was exported for")
        return self.network(image)


def _agreed(
    what: str, model: nn.Module, shape: Shape, attempts: Sequence[tuple[bool, Callable[[], Answer]]]
) -> Agreement:
    """Writes a form by the first attempt that gives the network's answers.

    Args:
        what: Names the form in an error.
        model: The network.
        shape: An image's ``(C, H, W)``.
        attempts: Each with whether the file should take images of any size, and what writes it and returns
            what it answers once it is read again.

    Raises:
        UserError: If none does.
    """
    fitting = [one for one in attempts if not one[0] or agreement.takes_other_sizes(model, shape)]
    for attempt in fitting:
        sizes, write = attempt
        try:
            off = agreement.difference(what, model, write(), shape, sizes=sizes)
        except (UserError, OSError):
            if attempt is fitting[-1]:
                raise
        except Exception as error:  # whatever an exporter raises about a network
            if attempt is fitting[-1]:
                reason = f"{type(error).__name__}: {first_line(error)}"
                raise UserError(f"{what.partition(':')[0]}: cannot be written ({reason})") from error
        else:
            return Agreement(off, sizes)
    raise AssertionError("the last attempt is taken or refused")
