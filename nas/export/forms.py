"""The files that hold a network in another form than timm's, beside it in its folder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from nas.util import output

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import nn

    from nas.export.agreement import Shape
    from nas.export.int8 import Quantised
    from nas.export.sample import Sample
    from nas.export.settings import ExportSettings

ONNX = "model.onnx"
INT8 = "model_int8.onnx"
TORCH_EXPORT = "model.pt2"
TORCHSCRIPT = "model.torchscript"


@dataclass(frozen=True)
class Form:
    """One file.

    Attributes:
        file: Its name.
        shape: Shape of one image, ``(C, H, W)``.
        sizes: Whether it takes images of any size, and not of this one only.
        difference: From the network's answers, at most, as a share of the largest logit; None if it is to
            answer otherwise.
        opset: ONNX's version of operators.
        quantised: How well it does, if it computes in 8-bit integers.
    """

    file: str
    shape: Shape
    sizes: bool
    difference: float | None = None
    opset: int | None = None
    quantised: Quantised | None = None

    @property
    def images(self) -> str:
        """The images that it takes, in words."""
        height, width = self.shape[1:]
        return "any number, any size" if self.sizes else f"any number, of {height} x {width} pixels only"

    @property
    def description(self) -> str:
        """A line about it."""
        opset = "" if self.opset is None else f" (opset {self.opset})"
        return f"{self.file}{opset}: {self.images}; {self.checked}"

    @property
    def checked(self) -> str:
        """How it compares with the network."""
        if self.quantised is not None:
            return self.quantised.description
        return f"same answers as PyTorch, within {self.difference:.0e} of the largest logit"

    def to_json(self) -> dict[str, Any]:
        """Plain values for config.json."""
        facts: dict[str, Any] = {"shape": list(self.shape), "any_size": self.sizes}
        for key, value in (("difference", self.difference), ("opset", self.opset)):
            if value is not None:
                facts[key] = value
        return facts if self.quantised is None else facts | self.quantised.to_json()


def data_config(model: nn.Module, pretrained_cfg: Mapping[str, Any]) -> dict[str, Any]:
    """How images are made ready for a network: timm's, of its own configuration and what a folder says."""
    from timm.data import resolve_data_config

    whole = {**getattr(model, "pretrained_cfg", {}), **pretrained_cfg}
    config: dict[str, Any] = resolve_data_config(pretrained_cfg=whole)
    return config


def write(
    staging: Path, model: nn.Module, shape: Shape, settings: ExportSettings, sample: Sample | None
) -> list[Form]:
    """Writes the forms that were asked for into a folder, and compares their answers.

    Args:
        staging: The folder.
        model: In evaluation mode, on the CPU.
        shape: Shape of one image, ``(C, H, W)``.
        settings: Which forms.
        sample: Images for one in 8-bit integers; None if there is to be none.

    Raises:
        UserError: If one cannot be written, or answers otherwise.
    """
    if not (settings.onnx or settings.int8 or settings.torch_export or settings.torchscript):
        return []
    from nas.export import formats, int8

    written = []
    if settings.onnx or settings.int8:
        output.doing("writing ONNX and comparing its answers")
        agreed = formats.write_onnx(model, staging / ONNX, shape, settings.opset)
        written.append(Form(ONNX, shape, agreed.sizes, agreed.difference, settings.opset))
        if sample is not None:
            output.doing("rounding it to 8-bit integers and judging both")
            quantised = int8.write(staging / ONNX, staging / INT8, shape, sample)
            written.append(replace(written[-1], file=INT8, difference=None, quantised=quantised))
    if settings.torch_export:
        output.doing("writing torch.export's form and comparing its answers")
        agreed = formats.write_torch_export(model, staging / TORCH_EXPORT, shape)
        written.append(Form(TORCH_EXPORT, shape, agreed.sizes, agreed.difference))
    if settings.torchscript:
        output.doing("writing TorchScript and comparing its answers")
        agreed = formats.write_torchscript(model, staging / TORCHSCRIPT, shape)
        written.append(Form(TORCHSCRIPT, shape, agreed.sizes, agreed.difference))
    return written
