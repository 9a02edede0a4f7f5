"""Images opened on demand, for transforms on the CPU and datasets larger than memory."""

from __future__ import annotations

import contextlib
import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from nas.data import listing, sources
from nas.data.decode import Unreadable, open_rgb
from nas.data.split import stratified_subset
from nas.util.errors import SettingError, UserError, setting
from nas.util.quantities import counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nas.data.images import ImageSet
    from nas.data.listing import Listing


@dataclass(frozen=True, eq=False)
class Pictures:
    """Labelled images in a fixed order, opened on demand.

    Attributes:
        name: The dataset as the user named it.
        labels: int64, ``(N,)``.
        class_names: Names of the classes.
        flip: Whether a horizontally flipped image still belongs to its class.
        fingerprint: Hash of the pixels, or of the files' names and sizes.
        files: The files, or None if ``array`` holds the images.
        root: Folder that holds all files.
        array: The pixels, or None.
        notes: What the user should know about them, one line each.
    """

    name: str
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    flip: bool
    fingerprint: str
    files: tuple[Path, ...] | None = None
    root: Path = Path()
    array: ImageSet | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def open(self, index: int) -> Image.Image:
        """Reads one image as RGB.

        Raises:
            UserError: If its file is damaged, see :func:`nas.data.decode.open_rgb`.
        """
        if self.array is not None:
            pixels = self.array.images[index]
            return Image.fromarray(pixels if pixels.shape[-1] == 3 else pixels[..., 0]).convert("RGB")
        assert self.files is not None
        path = self.files[index]
        try:
            return open_rgb(path)
        except Unreadable as error:
            raise UserError(f"{setting('data')}: {path} {error}") from None

    def take(self, index: NDArray[np.int64]) -> Pictures:
        """Returns the images at ``index``, in that order."""
        return replace(
            self,
            labels=self.labels[index],
            files=None if self.files is None else tuple(self.files[i] for i in index),
            array=None if self.array is None else self.array.take(index),
        )

    def limited(self, max_images: int, seed: int) -> Pictures:
        """Returns a stratified subset of at most ``max_images`` images, at least two of each class.

        Raises:
            UserError: If that is fewer than two per class.
        """
        if max_images >= len(self):
            return self
        least = 2 * len(self.class_names)
        if max_images < least:
            raise SettingError("max_images", max_images, f"must be at least {least}, two for each class")
        return self.take(stratified_subset(self.labels, max_images, seed))


def load(spec: str, *, data_dir: Path, test: bool = False) -> Pictures:
    """Loads the training or test part of a dataset.

    Args:
        spec: ``cifar100``, ``cifar10``, ``digits``, ``npz:FILE`` or ``folder:DIR``; of a folder only the file
            names are read.
        data_dir: Folder of downloads.
        test: Load the test part; of a folder that is ``test``, else ``val``.

    Raises:
        UserError: If the data do not exist or are invalid.
    """
    kind, _, place = spec.partition(":")
    if kind == "folder" and place:
        return from_listing(
            spec, listing.find(Path(place).expanduser(), test=test), min_per_class=0 if test else 2
        )
    read = sources.load_test if test else sources.load
    images = read(spec, data_dir=data_dir)
    return from_images(spec, images)


def from_images(name: str, images: ImageSet) -> Pictures:
    """Wraps images in memory.

    Args:
        name: The dataset as the user named it.
        images: The images.
    """
    return Pictures(
        name,
        images.labels,
        images.class_names,
        images.flip,
        images.fingerprint,
        array=images,
        notes=images.notes,
    )


def has_test(spec: str) -> bool:
    """Whether a dataset that :func:`load` accepts has a test part."""
    kind, _, place = spec.partition(":")
    path = Path(place).expanduser()
    if kind == "folder":
        return listing.has_test(path)
    if kind == "npz" and path.is_file():
        with contextlib.suppress(*sources.UNREADABLE), np.load(path, allow_pickle=False) as archive:
            return "x_test" in archive
    return True


def from_listing(name: str, found: Listing, min_per_class: int = 0) -> Pictures:
    """Builds a dataset from listed files.

    Args:
        name: The dataset as the user named it.
        found: The files with their labels.
        min_per_class: Fewest images a class may have.

    Raises:
        UserError: If a class has fewer.
    """
    labels = np.array([label for _, label in found.files], dtype=np.int64)
    counts = np.bincount(labels, minlength=len(found.class_names))
    if np.min(counts) < min_per_class:
        short = int(np.argmin(counts))
        raise SettingError(
            "data",
            name,
            f"class {found.class_names[short]} has {counted(counts[short], 'image')}; must be at least "
            f"{min_per_class}",
        )
    rows = [(str(path.relative_to(found.part)), label, path.stat().st_size) for path, label in found.files]
    fingerprint = hashlib.sha256(json.dumps(rows).encode()).hexdigest()
    return Pictures(
        name,
        labels,
        found.class_names,
        flip=True,
        fingerprint=fingerprint,
        files=tuple(path for path, _ in found.files),
        root=found.part,
        notes=found.notes,
    )
