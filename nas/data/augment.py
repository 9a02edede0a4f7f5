"""One epoch of augmented batches, built on the device.

All random choices of an epoch are drawn at its start from one seed, on the host and the same for every
device, and copied over once (``EpochPlan``). A step then only gathers (``BatchMaker``): it draws nothing and
never waits for the device, and an epoch is a function of its seed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray
    from torch import Tensor

    from nas.data.device import DeviceData, Part


@dataclass(frozen=True)
class Augmentation:
    """Settings of the augmentation of training images.

    Attributes:
        crop: Padding of the random crop as a share of the image's side; 0 switches it off.
        flip: Whether half of the images are flipped horizontally.
        mixup: Alpha of Mixup's Beta distribution (arXiv 1710.09412); 0 switches it off.
        cutmix: Alpha of CutMix's Beta distribution (arXiv 1905.04899); 0 switches it off. With both on, each
            image gets one of the two with equal probability, as in the recipe of the NEXcepTion paper (table
            1).
        smoothing: Label smoothing (arXiv 1512.00567).
    """

    crop: float = 0.125
    flip: bool = True
    mixup: float = 0.0
    cutmix: float = 0.0
    smoothing: float = 0.0

    @property
    def mixes(self) -> bool:
        """Whether images are mixed in pairs."""
        return self.mixup > 0 or self.cutmix > 0


class Normalizer:
    """Pixels to network input: zero mean and unit variance per channel."""

    def __init__(self, data: DeviceData) -> None:
        self._scale = 1 / (255 * data.std)
        self._shift = -data.mean / data.std

    def __call__(self, pixels: Tensor) -> Tensor:
        """Maps uint8 ``(..., C)`` to float32 of the same shape."""
        return torch.addcmul(self._shift, pixels.float(), self._scale)


def sample_batches(data: DeviceData, size: int, batch_size: int) -> Iterator[Tensor]:
    """Yields up to ``size`` training images spread evenly over the part, unaugmented, in even batches.

    Each is ``(B, C, H, W)``, float32, channels_last, B at most ``batch_size``.
    """
    normalize = Normalizer(data)
    pixels = data.train.images[:: math.ceil(len(data.train) / size)].permute(0, 2, 3, 1)
    for some in pixels.tensor_split(math.ceil(len(pixels) / batch_size)):
        yield normalize(some).permute(0, 3, 1, 2)


def val_batches(data: DeviceData, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields the validation part in order: images ``(B, C, H, W)`` float32 channels_last, labels ``(B,)``."""
    normalize = Normalizer(data)
    for start in range(0, len(data.val), batch_size):
        pixels = data.val.images[start : start + batch_size].permute(0, 2, 3, 1)
        yield normalize(pixels).permute(0, 3, 1, 2), data.val.labels[start : start + batch_size]


def train_batches(
    data: DeviceData, augmentation: Augmentation, batch_size: int, seed: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yields one epoch of full batches in random order; the incomplete last one is dropped.

    Args:
        data: Images on their device.
        augmentation: How to augment them.
        batch_size: Images per batch, at most the size of the training part.
        seed: Decides all random choices.

    Yields:
        Images ``(B, C, H, W)``, float32, channels_last, and soft targets ``(B, num_classes)``.
    """
    plan = EpochPlan.draw(data.train, augmentation, seed).to(data.device)
    make = BatchMaker(data, augmentation)
    for start in range(0, len(data.train) - batch_size + 1, batch_size):
        yield make(plan.rows(slice(start, start + batch_size)))


class BatchMaker:
    """Builds a training batch from an epoch's plan.

    Args:
        data: Images on their device.
        augmentation: The augmentation that the plan was drawn for.
    """

    def __init__(self, data: DeviceData, augmentation: Augmentation) -> None:
        off = augmentation.smoothing / data.num_classes
        on = 1 - augmentation.smoothing + off
        self._targets = torch.full((data.num_classes,) * 2, off, device=data.device).fill_diagonal_(on)
        self._part = data.train
        self._normalize = Normalizer(data)
        self._mixes = augmentation.mixes

    def __call__(self, rows: EpochPlan) -> tuple[Tensor, Tensor]:
        """Returns images ``(B, C, H, W)``, float32, channels_last, and soft targets ``(B, num_classes)``.

        Args:
            rows: The plan's rows for the batch's images, on the device of the data.
        """
        images = self._normalize(rows.gather(self._part.images))
        target = self._targets[self._part.labels[rows.order]]
        if self._mixes:
            images = torch.lerp(images.flip(0), images, rows.weights(*images.shape[1:3]))
            target = torch.lerp(target.flip(0), target, rows.share[:, None])
        return images.permute(0, 3, 1, 2), target


@dataclass(frozen=True, eq=False)
class EpochPlan:
    """An epoch's random choices, one row per image, in the order in which the images are used.

    Attributes:
        order: Index of the image, ``(N,)``.
        start: First source row and column of the crop, negative in the padding, ``(N, 2)``.
        mirror: Whether the crop is flipped, ``(N,)``.
        share: Share of the image's class in the target, ``(N,)``; the rest belongs to the class of its
            partner, the image at the mirrored position in the batch.
        blend: Mixup's weight of the image's pixels, 1 where CutMix is used, ``(N,)``.
        box: CutMix's box: first row, row after the last, first column, column after the last,
            ``(N, 4)``; empty where Mixup is used.
    """

    order: Tensor
    start: Tensor
    mirror: Tensor
    share: Tensor
    blend: Tensor
    box: Tensor

    @classmethod
    def draw(cls, part: Part, augmentation: Augmentation, seed: int) -> EpochPlan:
        """Draws an epoch's choices from ``seed``, on the host."""
        rng = np.random.default_rng(seed)
        n, (height, width) = len(part), part.images.shape[2:]
        choices = (
            rng.permutation(n),
            np.stack([_starts(rng, n, side, augmentation.crop) for side in (height, width)], axis=1),
            rng.random(n) < (0.5 if augmentation.flip else 0.0),
            *_mixing(rng, n, height, width, augmentation),
        )
        return cls(*map(torch.from_numpy, choices))

    def to(self, device: torch.device) -> EpochPlan:
        """Returns a copy on ``device``, or the plan itself if it is there."""
        return self._each(lambda choice: choice.to(device))

    def rows(self, batch: slice) -> EpochPlan:
        """Returns the choices for some of the images."""
        return self._each(lambda choice: choice[batch])

    def split(self, batch_size: int) -> EpochPlan:
        """Splits ``(N, ...)`` into full batches ``(S, B, ...)``; the incomplete last one is dropped."""
        steps = len(self.order) // batch_size
        return self._each(lambda choice: choice[: steps * batch_size].unflatten(0, (steps, batch_size)))

    def batch(self, position: Tensor) -> EpochPlan:
        """Returns the batch at ``position``, ``(1,)`` on the device, of a plan that was split."""
        return self._each(lambda choice: choice.index_select(0, position)[0])

    def copy_(self, other: EpochPlan) -> None:
        """Copies the choices of another plan of the same shapes, also from the host."""
        for field in fields(self):
            own: Tensor = getattr(self, field.name)
            own.copy_(getattr(other, field.name), non_blocking=True)

    def _each(self, change: Callable[[Tensor], Tensor]) -> EpochPlan:
        return EpochPlan(*(change(getattr(self, field.name)) for field in fields(self)))

    def gather(self, images: Tensor) -> Tensor:
        """Selects, crops and flips in one gather: ``(N, C, H, W)`` to ``(B, H, W, C)``, both uint8."""
        n, channels, height, width = images.shape
        pixels = images.permute(0, 2, 3, 1).reshape(n * height * width, channels)
        top, left = self.start[:, :, None].unbind(1)
        col = torch.arange(width, device=images.device)
        col = _reflected(left + torch.where(self.mirror[:, None], width - 1 - col, col), width)
        row = _reflected(top + torch.arange(height, device=images.device), height)
        index = ((self.order[:, None] * height + row) * width)[:, :, None] + col[:, None, :]
        return pixels.index_select(0, index.flatten()).view(*index.shape, channels)

    def weights(self, height: int, width: int) -> Tensor:
        """Returns the weight of the image's pixels in the mixture, ``(B, H, W, 1)``."""
        top, bottom, left, right = self.box[:, :, None].unbind(1)
        row = torch.arange(height, device=self.box.device)
        col = torch.arange(width, device=self.box.device)
        outside_rows = (row < top) | (row >= bottom)
        outside_cols = (col < left) | (col >= right)
        outside = outside_rows[:, :, None] | outside_cols[:, None, :]
        return (self.blend[:, None, None] * outside)[..., None]


def _starts(rng: np.random.Generator, n: int, side: int, share: float) -> NDArray[np.int64]:
    """Draws where ``n`` random crops start along one axis, ``(n,)``, within the padding on both sides."""
    padding = min(round(share * side), side - 1)
    return rng.integers(-padding, padding + 1, size=n)


def _reflected(position: Tensor, side: int) -> Tensor:
    """Folds positions outside ``[0, side)`` back, without repeating the border."""
    return side - 1 - (side - 1 - position.abs()).abs()


def _mixing(
    rng: np.random.Generator, n: int, height: int, width: int, augmentation: Augmentation
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Draws ``share``, ``blend`` and ``box`` of an ``EpochPlan``, independently for each image."""
    mixup, cutmix = augmentation.mixup, augmentation.cutmix
    blend = rng.beta(mixup, mixup, n) if mixup else np.ones(n)
    keep = rng.beta(cutmix, cutmix, n) if cutmix else np.ones(n)
    use_cutmix = rng.random(n) < 0.5 if mixup and cutmix else np.full(n, bool(cutmix))
    side = np.sqrt(1 - keep)
    box = np.zeros((n, 4), dtype=np.int64)
    for column, length in ((0, height), (2, width)):
        size = (length * side).astype(np.int64)
        centre = rng.integers(0, length, n)
        box[:, column] = np.clip(centre - size // 2, 0, length)
        box[:, column + 1] = np.clip(centre + (size + 1) // 2, 0, length)
    box[~use_cutmix] = 0
    blend = np.where(use_cutmix, 1.0, blend)
    area = (box[:, 1] - box[:, 0]) * (box[:, 3] - box[:, 2])
    share = blend * (1 - area / (height * width))
    return share.astype(np.float32), blend.astype(np.float32), box
