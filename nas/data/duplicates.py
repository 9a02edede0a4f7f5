"""Images that occur more than once: copies in both training and validation make validation meaningless."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from nas.util.errors import SettingError
from nas.util.quantities import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def digest(contents: bytes) -> int:
    """Hashes an image's pixels or file to 64 bits."""
    return int.from_bytes(hashlib.blake2b(contents, digest_size=8).digest(), "little")


def look(
    name: str, digests: NDArray[np.uint64], labels: NDArray[np.int64], class_names: Sequence[str]
) -> tuple[str, ...]:
    """Reports images that are copies of others.

    Args:
        name: The dataset, as the user named it.
        digests: Hashes of the images, ``(N,)``.
        labels: Their classes, ``(N,)``.
        class_names: Names of the classes.

    Returns:
        One line on copies within classes and one on images in several classes, where there are any.

    Raises:
        UserError: If all images are alike.
    """
    pairs, copies = np.unique(np.stack([digests, labels.astype(np.uint64)]), axis=1, return_counts=True)
    images, classes = np.unique(pairs[0], return_counts=True)
    if len(images) == 1 and len(digests) > 1:
        raise SettingError(
            "dataset", name, f"all {len(digests):,} images are alike; there is nothing to learn"
        )
    notes = []
    if np.any(copies > 1):
        surplus = np.bincount(pairs[1].astype(np.int64), weights=copies - 1, minlength=len(class_names))
        most, copied = int(np.argmax(surplus)), counted(int(surplus.sum()), "copy", "copies")
        notes.append(
            f"{name}: {copied} of other images of the same class among its "
            f"{len(labels):,} images, {int(surplus[most]):,} in class {class_names[most]}"
        )
    if np.any(classes > 1):
        shared = images[classes > 1]
        own = np.unique(pairs[1][pairs[0] == shared[0]]).astype(np.int64)
        notes.append(
            f"{name}: {counted(len(shared), 'image')} in more than one class, "
            f"the first in {' and '.join(class_names[label] for label in own[:2])}"
        )
    return tuple(notes)
