"""Images in class folders: found, resized once, cached."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.data.listing import find
from nas.util.errors import SettingError
from nas.util.files import replacing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from nas.data.listing import Listing

_READING = 2  # version of how images are read: increase it when that changes, so that no old cache is used
_NAMED = 3  # number of files that a message names


def read(
    root: Path, size: int, cache_dir: Path, *, test: bool = False
) -> tuple[NDArray[np.uint8], NDArray[np.int64], Listing]:
    """Reads ``root/<class>/**/<image>``, or ``root/train/...`` where that folder exists.

    Each image's shorter side is scaled to ``size`` (bicubic) and its centre cropped, as RGB. The
    result is cached under the list of files, their sizes and times.

    Args:
        root: Folder of class folders; or of ``train`` and ``test`` or ``val``, each of class folders.
        size: Side of the square result in pixels.
        cache_dir: Folder of the resized images.
        test: Read the test part: ``test``, else ``val``.

    Returns:
        Images ``(N, size, size, 3)``, labels ``(N,)``, and the listing of the files.

    Raises:
        UserError: If the folder, a part of it or an image cannot be read.
    """
    found = find(root, test=test)
    labels = np.array([label for _, label in found.files], dtype=np.int64)
    cache = cache_dir / f"folder-{key(found.part, found.files, [_READING, size])}.npy"
    images = cached(cache, (len(found.files), size, size, 3), np.uint8)
    if images is None:
        images = _resize_all([path for path, _ in found.files], size)
        _write(cache, images)
    return images, labels, found


def refuse_unreadable(reasons: Mapping[Path, str], files: int) -> None:
    """Refuses a dataset with unreadable files.

    Args:
        reasons: Why a file is unreadable, by file.
        files: Total number of files.

    Raises:
        UserError: If there are any; it names the first few.
    """
    if not reasons:
        return
    named = "; ".join(f"{path} {reason}" for path, reason in list(reasons.items())[:_NAMED])
    more = f" (and {len(reasons) - _NAMED:,} more of {files:,} files)" if len(reasons) > _NAMED else ""
    raise SettingError("dataset", None, f"{named}{more}")


def key(root: Path, files: Sequence[tuple[Path, int]], reading: Sequence[object]) -> str:
    """Returns a cache key that changes with the name, label, size or time of any file."""
    rows = [
        (str(path.relative_to(root)), label, (stat := path.stat()).st_size, stat.st_mtime_ns)
        for path, label in files
    ]
    return hashlib.sha256(json.dumps([*reading, rows]).encode()).hexdigest()[:16]


def cached(path: Path, shape: tuple[int, ...], dtype: type[np.generic]) -> NDArray[Any] | None:
    """Reads a cached array; None if it does not exist, is damaged or has another shape or type."""
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return found if found.shape == shape and found.dtype == dtype else None


def write_cache(path: Path, values: NDArray[Any]) -> None:
    """Writes what :func:`cached` reads.

    Raises:
        OSError: If it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        np.save(temporary, values, allow_pickle=False)


def _write(path: Path, images: NDArray[np.uint8]) -> None:
    try:
        write_cache(path, images)
    except OSError as error:
        raise SettingError(
            "data_dir", None, f"cannot write {path.parent} ({error.strerror}); must be a writable folder"
        ) from error


def _resize_all(paths: list[Path], size: int) -> NDArray[np.uint8]:
    result = np.empty((len(paths), size, size, 3), dtype=np.uint8)
    unreadable: dict[Path, str] = {}
    with ThreadPoolExecutor() as pool:
        for path, target, image in zip(
            paths, result, pool.map(lambda path: _resize(path, size), paths), strict=True
        ):
            if isinstance(image, str):
                unreadable[path] = image
            else:
                target[...] = image
    refuse_unreadable(unreadable, len(paths))
    return result


def _resize(path: Path, size: int) -> NDArray[np.uint8] | str:
    """Returns the image, or what is wrong with its file."""
    from PIL import Image, ImageOps

    from nas.data.decode import Unreadable, open_rgb

    try:
        picture = open_rgb(path, near=size)
    except Unreadable as error:
        return str(error)
    return np.asarray(ImageOps.fit(picture, (size, size), Image.Resampling.BICUBIC))
