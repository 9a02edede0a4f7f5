"""timm's transforms from images to network input, also for networks with one channel."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING, Any

import torch
from timm.data import create_transform
from timm.data.random_erasing import RandomErasing
from timm.data.transforms import MaybeToTensor, RandomResizedCropAndInterpolation
from torchvision import transforms

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from PIL import Image
    from torch import Tensor

    Transform = Callable[[Image.Image], Tensor]


def normalisation(data_config: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each of the network's channels, of pixels scaled to 0..1."""
    channels = data_config["input_size"][0]
    return _channels(data_config["mean"], channels), _channels(data_config["std"], channels)


def evaluation(data_config: Mapping[str, Any]) -> Transform:
    """Builds the transform for evaluation: resize, centre crop, normalise.

    Args:
        data_config: timm's data configuration: input_size ``(C, H, W)``, mean, std, crop_pct, interpolation.
    """
    return _of_channels(create_transform(**_in_colour(data_config), is_training=False), data_config)


def training(data_config: Mapping[str, Any], crop_padding: float = 0.0, **options: Any) -> Transform:
    """Builds the transform for training: random crop, augmentation, normalise.

    Args:
        data_config: timm's data configuration, see :func:`evaluation`.
        crop_padding: Crop from the whole image padded by this share of its side (reflected), instead of a
            crop of random scale.
        **options: Options of timm's ``create_transform``: scale, hflip, auto_augment, ...
    """
    colour = _in_colour(data_config)
    made = create_transform(
        colour["input_size"], is_training=True, mean=colour["mean"], std=colour["std"], **options
    )
    if crop_padding:
        size = list(colour["input_size"][1:])
        first = next(
            i for i, step in enumerate(made.transforms) if isinstance(step, RandomResizedCropAndInterpolation)
        )
        padding = [min(round(crop_padding * side), side - 1) for side in reversed(size)]
        made.transforms[first : first + 1] = [
            transforms.Resize(min(size), transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(size),
            transforms.RandomCrop(size, padding=padding, padding_mode="reflect"),
        ]
    return _of_channels(made, data_config)


@dataclass(frozen=True)
class Finish:
    """The end of a training transform, for whole batches on their device: to floats, normalised, erased.

    Attributes:
        mean: Means of each channel.
        std: Standard deviations of each channel.
        erasing: timm's random erasing, or None.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    erasing: RandomErasing | None
    _copied: dict[torch.device, tuple[Tensor, Tensor]] = field(
        default_factory=dict, compare=False, repr=False
    )

    def __call__(self, images: Tensor) -> Tensor:
        """uint8 ``(B, C, H, W)`` to what the network takes, with the same numbers as image by image."""
        mean, std = self._columns(images.device)
        made = images.float().div_(255).sub_(mean).div_(std)
        if self.erasing is None:
            return made
        self.erasing.device = str(made.device)
        erased: Tensor = self.erasing(made)
        return erased

    def _columns(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Returns mean and standard deviation as ``(C, 1, 1)``, copied to a device once."""
        if device not in self._copied:
            mean, std = (
                torch.tensor(values, device=device).view(-1, 1, 1) for values in (self.mean, self.std)
            )
            self._copied[device] = mean, std
        return self._copied[device]


def split(transform: Any) -> tuple[Transform, Finish]:
    """Parts a transform of :func:`training` before its pixels become floats.

    What reads the images then hands on a quarter of the bytes, and their device does the rest.
    """
    steps: list[Any] = []
    mean: Any = ()
    std: Any = ()
    erasing = None
    for step in transform.transforms:
        if isinstance(step, transforms.ToTensor | MaybeToTensor):
            steps.append(transforms.PILToTensor())
        elif isinstance(step, transforms.Normalize):
            mean, std = (tuple(torch.as_tensor(values).tolist()) for values in (step.mean, step.std))
        elif isinstance(step, RandomErasing):
            erasing = step
        else:
            steps.append(step)
    return transforms.Compose(steps), Finish(mean, std, erasing)


def _in_colour(data_config: Mapping[str, Any]) -> dict[str, Any]:
    """Converts the configuration to three channels, which all of timm's augmentations support."""
    three = {name: _channels(data_config[name], 3) for name in ("mean", "std")}
    return {**data_config, **three, "input_size": (3, *data_config["input_size"][1:])}


def _of_channels(made: Any, data_config: Mapping[str, Any]) -> Transform:
    """Adapts the transform to the number of channels of the configuration, 1 or 3."""
    if data_config["input_size"][0] == 3:
        found: Transform = made
        return found
    steps: list[Any] = []
    for step in made.transforms:
        if isinstance(step, transforms.ToTensor | MaybeToTensor):
            steps.append(transforms.Grayscale())
        if isinstance(step, transforms.Normalize):
            values = [_channels(data_config[name], 1) for name in ("mean", "std")]
            steps.append(transforms.Normalize(*values))
        else:
            steps.append(step)
    return transforms.Compose(steps)


def _channels(values: Any, wanted: int) -> list[float]:
    values = list(values)
    if len(values) == wanted:
        return values
    return [fmean(values)] * wanted
