"""Quantises a network to 8-bit integers by onnxruntime's quantiser, and measures the loss of accuracy."""

from __future__ import annotations

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from nas.export import formats
from nas.trial import onnx_file
from nas.util.errors import UserError, first_line, setting
from nas.util.quantities import counted, format_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor

    from nas.data.pictures import Pictures
    from nas.export.agreement import Answer, Shape
    from nas.export.sample import Sample

_AT_ONCE = 32  # images per batch
_BATCHES = (1, 3)  # batch sizes that the file must accept


@dataclass(frozen=True)
class Quantised:
    """The result of a quantisation.

    Attributes:
        before: Top-1 of the file that was quantised, on those images.
        after: Top-1 of the 8-bit file on the same images.
        judged: Number of those images.
        calibrated: Number of images that its ranges were taken from.
        images: Description of both sets of images.
        bytes_before: Size of the file that was quantised.
        bytes_after: Size of the 8-bit file.
    """

    before: float
    after: float
    judged: int
    calibrated: int
    images: str
    bytes_before: int
    bytes_after: int

    @property
    def description(self) -> str:
        """Describes the result in a clause."""
        return (
            f"top-1 {100 * self.after:.2f}% instead of {100 * self.before:.2f}% on {self.judged:,} "
            f"{self.images}, {format_size(self.bytes_after)} instead of {format_size(self.bytes_before)}; "
            f"ranges from {counted(self.calibrated, 'training image')}"
        )

    def to_json(self) -> dict[str, Any]:
        """Returns plain values for config.json."""
        return {
            "format": "QDQ, static, int8 weights by channel, int8 activations",
            "top1_before": self.before,
            "top1_after": self.after,
            "judged_on": f"{self.judged} {self.images}",
            "calibration_images": self.calibrated,
        }


def write(onnx: Path, target: Path, shape: Shape, sample: Sample) -> Quantised:
    """Quantises an ONNX file and evaluates both files.

    Weights are rounded for each output channel, activations by ranges seen on the calibration images:
    static quantisation, which onnxruntime recommends for convolutional networks; the dynamic one leaves
    convolutions slower than in floating point.

    Args:
        onnx: The file.
        target: The 8-bit file to write.
        shape: Shape ``(C, H, W)`` of an image.
        sample: The images.

    Raises:
        UserError: If it cannot be quantised, or its outputs are not finite.
    """
    try:
        with onnx_file.quiet(), tempfile.TemporaryDirectory() as folder:
            _quantise(onnx, target, Path(folder) / onnx.name, sample)
        answer = formats.session(target)
        for batch in _BATCHES:
            if not bool(answer(onnx_file.images(batch, shape)).isfinite().all()):
                raise UserError(f"{setting('int8')}: the file answers with infinities; not written")
    except (UserError, OSError):
        raise
    except Exception as error:  # onnxruntime may raise anything
        raise UserError(f"{setting('int8')}: cannot be written ({first_line(error)})") from error
    judged = sample.judging
    return Quantised(
        before=_top1(formats.session(onnx), judged, sample.transform),
        after=_top1(answer, judged, sample.transform),
        judged=len(judged),
        calibrated=len(sample.calibration),
        images=sample.judged_in_words,
        bytes_before=onnx.stat().st_size,
        bytes_after=target.stat().st_size,
    )


def _quantise(onnx: Path, target: Path, prepared: Path, sample: Sample) -> None:
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Shown(quantization.CalibrationDataReader):
        """The calibration images, batch by batch."""

        def __init__(self) -> None:
            self._batches = _batches(sample.calibration, sample.transform)

        def get_next(self) -> dict[str, Any] | None:
            """The next batch, None after the last."""
            batch = next(self._batches, None)
            return None if batch is None else {"image": batch[0].numpy()}

    logging.getLogger("root").setLevel(logging.ERROR)
    # Folds batch norms into convolutions; the symbolic shapes it could infer as well are not needed.
    quant_pre_process(str(onnx), str(prepared), skip_symbolic_shape=True)
    quantization.quantize_static(
        str(prepared),
        str(target),
        Shown(),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
        activation_type=quantization.QuantType.QInt8,
        weight_type=quantization.QuantType.QInt8,
    )


def _batches(pictures: Pictures, transform: Callable[[Any], Tensor]) -> Iterator[tuple[Tensor, Any]]:
    """Yields images ``(B, C, H, W)`` and their labels ``(B,)``."""
    for first in range(0, len(pictures), _AT_ONCE):
        index = range(first, min(first + _AT_ONCE, len(pictures)))
        yield (
            torch.stack([transform(pictures.open(i)) for i in index]),
            pictures.labels[index.start : index.stop],
        )


def _top1(answer: Answer, pictures: Pictures, transform: Callable[[Any], Tensor]) -> float:
    right = [answer(images).argmax(1).numpy() == labels for images, labels in _batches(pictures, transform)]
    return float(np.concatenate(right).mean())
