"""A set of labelled images in memory: the form that every source is converted to and checked in."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.data.split import stratified_subset
from nas.util.errors import SettingError, UserError
from nas.util.quantities import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_SIDE = 8  # below this the reduced network's last feature map would be empty


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Labelled images of one size.

    Attributes:
        name: The dataset as the user named it, for example ``cifar100``.
        images: uint8, ``(N, H, W, C)``, C is 1 or 3.
        labels: int64, ``(N,)``, values in ``[0, len(class_names))``.
        class_names: One name a class.
        flip: Whether a horizontally flipped image still belongs to its class.
        notes: What the user should know about them, one line each.
    """

    name: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    flip: bool = True
    notes: tuple[str, ...] = ()

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over shape, pixels and labels."""
        digest = hashlib.sha256(str(self.images.shape).encode())
        digest.update(np.ascontiguousarray(self.images).data)
        digest.update(np.ascontiguousarray(self.labels).data)
        return digest.hexdigest()

    def take(self, index: NDArray[np.int64]) -> ImageSet:
        """The images at ``index``, in that order."""
        return replace(self, images=self.images[index], labels=self.labels[index])

    def limited(self, max_images: int, seed: int) -> ImageSet:
        """Returns a stratified subset of at most ``max_images`` images.

        Raises:
            UserError: If that leaves a class with fewer than two images.
        """
        if max_images >= len(self.labels):
            return self
        if max_images < 2 * len(self.class_names):
            raise SettingError(
                "max_images",
                max_images,
                f"must be at least {2 * len(self.class_names)}, "
                f"two for each of the {len(self.class_names)} classes of {self.name}",
            )
        return self.take(stratified_subset(self.labels, max_images, seed))


def checked(
    name: str,
    images: NDArray[Any],
    labels: NDArray[Any],
    class_names: tuple[str, ...] | None = None,
    *,
    flip: bool = True,
    min_per_class: int = 2,
) -> ImageSet:
    """Builds an ``ImageSet`` from unchecked arrays.

    Args:
        name: The dataset, as the user named it; every message begins with it.
        images: uint8, ``(N, H, W)`` or ``(N, H, W, C)`` with C 1 or 3.
        labels: Any integer type, ``(N,)`` or ``(N, 1)``.
        class_names: Names of the classes; None: the largest label decides how many there are.
        flip: Whether a horizontally flipped image still belongs to its class.
        min_per_class: Fewest images a class may have; 0 for a test part.

    Raises:
        UserError: If the arrays are anything else.
    """

    def fail(what: str) -> UserError:
        return SettingError("dataset", name, what)

    if images.dtype != np.uint8:
        raise fail(f"images are {images.dtype}; must be uint8, 0 to 255 (images of mixed size give 'object')")
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[-1] not in (1, 3):
        raise fail(f"images have shape {images.shape}; must be (N, H, W) or (N, H, W, C) with C 1 or 3")
    if len(images) == 0:
        raise fail("holds no images")
    if min(images.shape[1:3]) < MIN_SIDE:
        raise fail(f"images are {images.shape[1]}x{images.shape[2]} pixels; must be at least 8x8")
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or len(labels) != len(images):
        raise fail(f"labels have shape {labels.shape}; must be ({len(images)},), one for each image")
    if not np.issubdtype(labels.dtype, np.integer):
        raise fail(f"labels are {labels.dtype}; must be integers from 0 on")
    low, high = int(labels.min()), int(labels.max())
    n_classes = len(class_names) if class_names is not None else high + 1
    if n_classes < 2:
        raise fail(f"has {counted(n_classes, 'class', 'classes')}; must be at least 2")
    if low < 0 or high >= n_classes:
        raise fail(f"labels run from {low} to {high}; must lie in 0 to {n_classes - 1}")
    if min_per_class and n_classes > len(labels):
        there = counted(len(labels), "image")
        raise fail(f"labels run to {high}, with only {there}; each class needs {min_per_class}")
    counts = np.bincount(labels.astype(np.int64), minlength=n_classes)
    if np.min(counts) < min_per_class:
        short = int(np.argmin(counts))
        title = class_names[short] if class_names is not None else str(short)
        raise fail(f"class {title} has {counted(counts[short], 'image')}; must be at least {min_per_class}")
    names = class_names if class_names is not None else tuple(map(str, range(n_classes)))
    return ImageSet(name, np.ascontiguousarray(images), labels.astype(np.int64), names, flip)


def resized(images: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Scales the shorter side to ``size`` (bicubic) and crops the centre.

    Args:
        images: ``(N, H, W, C)``, C is 1 or 3.
        size: Side of the square result in pixels.
    """
    from PIL import Image, ImageOps

    if images.shape[1:3] == (size, size):
        return images
    result = np.empty((len(images), size, size, images.shape[3]), dtype=np.uint8)
    for source, target in zip(images, result, strict=True):
        picture = Image.fromarray(source if source.shape[-1] == 3 else source[..., 0])
        fitted = np.asarray(ImageOps.fit(picture, (size, size), Image.Resampling.BICUBIC))
        target[...] = fitted.reshape(target.shape)
    return result
