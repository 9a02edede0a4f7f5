"""The images of each batch and their augmentation, as a function of seed and epoch only."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from timm.data.distributed_sampler import RepeatAugSampler
from torch.utils.data import DataLoader, Dataset, Sampler

from nas.data import transforms
from nas.util.errors import SettingError, setting
from nas.util.quantities import counted
from nas.util.seeds import derive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from torch import Tensor

    from nas.data.pictures import Pictures
    from nas.data.transforms import Finish
    from nas.export.recipe import Recipe

Item = tuple[int, int]  # index of the image, and the seed of its augmentation


class Batches(Sampler[list[Item]]):
    """The batches of one process in one epoch; the incomplete last update is dropped.

    Every process draws the same order and takes its share of it. With repeated augmentation
    (arXiv:1901.09335) an image comes several times in a row, augmented differently, and an epoch has as many
    times fewer images.

    Args:
        images: Size of the training part.
        batch_size: Images per update, over all processes and accumulation steps.
        accumulate: Forward passes per update.
        repeats: Views of an image in an epoch.
        seed: Decides all random choices.
        rank: Number of this process.
        processes: Number of processes.

    Raises:
        UserError: If the batch cannot be split in this way, or is larger than the training part.
    """

    def __init__(
        self,
        images: int,
        batch_size: int,
        accumulate: int = 1,
        repeats: int = 1,
        seed: int = 0,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        size, rest = divmod(batch_size, accumulate * processes)
        if rest or size < 2:
            raise SettingError(
                "batch_size",
                batch_size,
                f"must be a multiple of {accumulate * processes} ({setting('accumulate', accumulate)} x "
                f"{counted(processes, 'process', 'processes')}), of at least 2 images each",
            )
        if batch_size > images:
            raise SettingError(
                "batch_size", batch_size, f"must be at most {images}, the images there are to learn from"
            )
        self.size = size
        self.updates = images // batch_size
        self._accumulate = accumulate
        self._seed = seed
        self._rank = rank
        self._processes = processes
        self._sampler = RepeatAugSampler(
            range(images), processes, rank, num_repeats=repeats, selected_round=0
        )
        self._epoch = self._first = 0

    def begin(self, epoch: int, update: int = 0) -> None:
        """Sets the epoch of the next iteration, and the update of it to begin at."""
        self._epoch, self._first = epoch, update

    def __len__(self) -> int:
        return (self.updates - self._first) * self._accumulate

    def __iter__(self) -> Iterator[list[Item]]:
        self._sampler.set_epoch(derive(self._seed, "order", self._epoch))
        order = list(self._sampler)
        for part in range(self._first * self._accumulate, self.updates * self._accumulate):
            places = range(part * self.size, (part + 1) * self.size)
            yield [(order[place], self._image_seed(place)) for place in places]

    def _image_seed(self, place: int) -> int:
        return derive(self._seed, "image", self._epoch, place * self._processes + self._rank)


class Augmented(Dataset[tuple["Tensor", int]]):
    """Training images under random transforms; an item is an image's index and its seed."""

    def __init__(self, pictures: Pictures, transform: Callable[[Any], Tensor]) -> None:
        self._pictures = pictures
        self._transform = transform

    def __getitem__(self, item: Any) -> tuple[Tensor, int]:
        index, seed = item
        # timm's transforms draw from all three.
        random.seed(seed)
        np.random.seed(seed)
        torch.default_generator.manual_seed(seed)
        return self._transform(self._pictures.open(index)), int(self._pictures.labels[index])


def training_transform(
    recipe: Recipe, data_config: Mapping[str, Any], flip: bool
) -> tuple[Callable[[Any], Tensor], Finish]:
    """timm's transforms of the recipe: random crop, mirror, RandAugment; and what the device does then.

    Returns:
        A picture to uint8 ``(C, H, W)``; and a batch of those to what the network takes, erased at random.

    Raises:
        UserError: If timm does not know the augmentation.
    """
    try:
        made = transforms.training(
            data_config,
            recipe.crop_padding,
            scale=(recipe.min_scale, 1.0),
            hflip=recipe.flip if flip else 0.0,
            auto_augment=None if recipe.auto_augment == "none" else recipe.auto_augment,
            color_jitter=None,
            interpolation="random",
            re_prob=recipe.erasing,
        )
    except (AssertionError, ValueError, KeyError, IndexError) as error:
        raise SettingError(
            "auto_augment",
            recipe.auto_augment,
            "must be none or as timm writes it, such as rand-m7-mstd0.5-inc1",
        ) from error
    return transforms.split(made)


def loader(
    pictures: Pictures,
    transform: Callable[[Any], Tensor],
    batches: Batches,
    workers: int,
    device: torch.device,
) -> DataLoader[Any]:
    """Builds a loader with ``workers`` processes (0: none) of batches to be moved to ``device``."""
    return DataLoader(
        Augmented(pictures, transform),
        batch_sampler=batches,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device.type == "cuda",
    )
