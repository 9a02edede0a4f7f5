"""Scores that summarise predictions."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from nas.evaluate.predict import Predictions

_BINS = 15  # as in arXiv:1706.04599


@dataclass(frozen=True)
class Scores:
    """The scores of a network on a dataset.

    Attributes:
        images: Number of images.
        top1: Share of images classified correctly.
        top5: Share of images whose class is among the five best guesses.
        loss: Mean softmax cross-entropy.
        ece: Expected calibration error: mean difference between confidence and accuracy over 15 equal
            intervals of confidence (arXiv:1706.04599).
    """

    images: int
    top1: float
    top5: float
    loss: float
    ece: float

    @classmethod
    def of(cls, predictions: Predictions) -> Scores:
        """Computes them."""
        return cls(
            images=len(predictions.labels),
            top1=float(np.mean(predictions.rank < 1)),
            top5=float(np.mean(predictions.rank < 5)),
            loss=float(predictions.loss.mean()),
            ece=calibration_error(predictions.confidence, predictions.rank < 1),
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """Computes the expected calibration error, see :class:`Scores`."""
    interval = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    gaps = np.bincount(interval, weights=confidence - right, minlength=_BINS)
    return float(np.abs(gaps).sum() / len(confidence))


def per_class(predictions: Predictions, class_names: Sequence[str]) -> list[dict[str, Any]]:
    """Returns a row per class that occurs: name, images, top1, top5, loss, most frequent confusion."""
    rows = []
    table = confusion(predictions, len(class_names))
    for label, name in enumerate(class_names):
        own = predictions.labels == label
        if not own.any():
            continue
        wrong = table[label].copy()
        wrong[label] = 0
        rows.append(
            {
                "class": name,
                "images": int(own.sum()),
                "top1": float(np.mean(predictions.rank[own] < 1)),
                "top5": float(np.mean(predictions.rank[own] < 5)),
                "loss": float(predictions.loss[own].mean()),
                "most_confused_with": class_names[int(wrong.argmax())] if wrong.any() else "",
            }
        )
    return rows


def confusion(predictions: Predictions, classes: int) -> NDArray[np.int64]:
    """Counts the images of class i that were predicted as class j, ``(classes, classes)``."""
    index = predictions.labels * classes + predictions.predicted
    return np.bincount(index, minlength=classes * classes).reshape(classes, classes)
