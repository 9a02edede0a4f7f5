"""The whole dataset on the training device as uint8: no worker processes, no copies per step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from nas.data.split import stratified_split

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from nas.data.images import ImageSet


@dataclass(frozen=True, eq=False)
class Part:
    """Images ``(N, C, H, W)``, uint8, channels_last; labels ``(N,)``, int64."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device | str) -> Part:
        """Returns a copy on ``device``, or the part itself if it is there."""
        return Part(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True, eq=False)
class DeviceData:
    """Training and validation part of a dataset on one device.

    Attributes:
        train: Images that networks learn from.
        val: Images on which configurations are compared.
        mean: Mean per channel of the training part's pixels scaled to 0..1, float32, ``(C,)``.
        std: Standard deviation of the same, at least 1/255.
        num_classes: Number of classes.
        flip: Whether a horizontally flipped image still belongs to its class.
        fingerprint: Hash of the images and labels before the split.
        split_fingerprint: Hash of the split.
    """

    train: Part
    val: Part
    mean: Tensor
    std: Tensor
    num_classes: int
    flip: bool
    fingerprint: str
    split_fingerprint: str

    @property
    def in_chans(self) -> int:
        """Number of image channels."""
        return self.train.images.shape[1]

    @property
    def device(self) -> torch.device:
        """Device of the images."""
        return self.train.images.device

    @classmethod
    def place(
        cls, images: ImageSet, *, val_fraction: float, seed: int, device: torch.device | str
    ) -> DeviceData:
        """Splits a dataset, stratified by class, and copies it to ``device``.

        Args:
            images: The training part of a dataset.
            val_fraction: Share of each class set aside for validation.
            seed: Decides the split.
            device: The device to copy to.
        """
        split = stratified_split(images.labels, val_fraction, seed)
        train = _part(images, split.train)
        mean, std = _moments(train.images)
        return cls(
            train=train.to(device),
            val=_part(images, split.val).to(device),
            mean=mean.to(device),
            std=std.to(device),
            num_classes=len(images.class_names),
            flip=images.flip,
            fingerprint=images.fingerprint,
            split_fingerprint=split.fingerprint,
        )


def _part(images: ImageSet, index: NDArray[np.int64]) -> Part:
    pixels = torch.from_numpy(images.images[index]).permute(0, 3, 1, 2)
    return Part(pixels, torch.from_numpy(images.labels[index]))


def _moments(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Computes mean and standard deviation per channel from exact integer histograms."""
    values = torch.arange(256, dtype=torch.float64) / 255
    counts = torch.stack([torch.bincount(channel.flatten(), minlength=256) for channel in pixels.unbind(1)])
    weights = counts.double() / counts.sum(1, keepdim=True)
    mean = weights @ values
    variance = (weights * (values - mean[:, None]) ** 2).sum(1)
    return mean.float(), variance.sqrt().clamp(min=1 / 255).float()
