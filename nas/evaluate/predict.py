"""The predictions of a network for every image of a dataset."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from nas.data.pictures import Pictures


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions, one entry per image, in the order of the dataset.

    Attributes:
        labels: True classes.
        predicted: Class with the largest logit.
        rank: Number of classes with a larger logit than the true one, 0 for a correct prediction.
        confidence: Probability (softmax) of the predicted class.
        loss: Softmax cross-entropy.
    """

    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    rank: NDArray[np.int64]
    confidence: NDArray[np.float64]
    loss: NDArray[np.float64]

    @classmethod
    def interleaved(cls, parts: Sequence[Predictions]) -> Predictions:
        """Merges the parts of ``len(parts)`` processes, each of which took every ``len(parts)``-th image."""
        total = sum(len(part.labels) for part in parts)
        joined: dict[str, NDArray[Any]] = {}
        for field in fields(cls):
            values = [getattr(part, field.name) for part in parts]
            joined[field.name] = np.empty(total, dtype=values[0].dtype)
            for i, value in enumerate(values):
                joined[field.name][i :: len(parts)] = value
        return cls(**joined)


class Transformed(Dataset[tuple["Tensor", int]]):
    """Images as transformed tensors, every ``step``-th from ``first`` on."""

    def __init__(
        self, pictures: Pictures, transform: Callable[[Any], Tensor], first: int = 0, step: int = 1
    ) -> None:
        self._pictures = pictures
        self._transform = transform
        self._index = range(first, len(pictures), step)

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, item: int) -> tuple[Tensor, int]:
        index = self._index[item]
        return self._transform(self._pictures.open(index)), int(self._pictures.labels[index])


@torch.no_grad()
def predict(
    model: nn.Module,
    dataset: Dataset[tuple[Tensor, int]],
    device: torch.device,
    *,
    batch_size: int = 256,
    workers: int = 0,
    amp: torch.dtype | None = None,
    classes: Sequence[int] | None = None,
    on_batch: Callable[[int], object] = lambda _: None,
) -> Predictions:
    """Runs a network on every image.

    Args:
        model: Maps ``(B, C, H, W)`` to logits, on the device; left in evaluation mode.
        dataset: Tensors and labels.
        device: The device.
        batch_size: Images per batch.
        workers: Number of processes that read and transform images; 0: this one.
        amp: Data type of autocast, None for float32.
        classes: Use these outputs only; labels are then indices among them.
        on_batch: Called with the number of images done.
    """
    model.eval()
    loader = DataLoader(dataset, batch_size=batch_size, num_workers=workers, pin_memory=device.type == "cuda")
    kept: Any = slice(None) if classes is None else torch.tensor(classes, device=device)
    parts: list[tuple[Tensor, ...]] = []
    done = 0
    for images, labels in loader:
        images = images.to(device, memory_format=torch.channels_last, non_blocking=True)
        labels = labels.to(device, non_blocking=True)
        with torch.autocast(device.type, dtype=amp, enabled=amp is not None):
            logits = model(images)
        logits = logits.float()[:, kept]
        own = logits.gather(1, labels[:, None])
        confidence, predicted = logits.softmax(1).max(1)
        loss = functional.cross_entropy(logits, labels, reduction="none")
        rank = (logits > own).sum(1)
        parts.append(tuple(value.cpu() for value in (labels, predicted, rank, confidence, loss)))
        done += len(labels)
        on_batch(done)
    columns = [torch.cat(column).numpy() for column in zip(*parts, strict=True)]
    return Predictions(*columns[:3], *(column.astype(np.float64) for column in columns[3:]))
