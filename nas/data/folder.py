"""Images in class folders: found, resized once, cached."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nas.errors import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})

Arrays = tuple["NDArray[np.uint8]", "NDArray[np.int64]", tuple[str, ...]]


def read(root: Path, size: int, cache_dir: Path, *, test: bool = False) -> Arrays:
    """Reads ``root/<class>/**/<image>``, or ``root/train/...`` where that folder exists.

    Each image's shorter side is scaled to ``size`` (bicubic) and its centre cropped, as RGB. The
    result is cached under the list of files, their sizes and times.

    Args:
        root: Folder of class folders; or of ``train`` and ``test`` or ``val``, each of class folders.
        size: Side of the square result in pixels.
        cache_dir: Where the resized images are kept.
        test: Read the test part: ``test``, else ``val``.

    Returns:
        Images ``(N, size, size, 3)``, labels ``(N,)``, names of the classes (those of the training part).

    Raises:
        UserError: If the folder, a part of it or an image cannot be read.
    """
    part, files, names = find(root, test=test)
    labels = np.array([label for _, label in files], dtype=np.int64)
    cache = cache_dir / f"folder-{_key(part, files, size)}.npy"
    images = _cached(cache, (len(files), size, size, 3))
    if images is None:
        images = _resize_all([path for path, _ in files], size)
        _write(cache, images)
    return images, labels, names


def find(root: Path, *, test: bool = False) -> tuple[Path, list[tuple[Path, int]], tuple[str, ...]]:
    """Lists the images of a folder without opening them.

    Args:
        root: As for :func:`read`.
        test: List the test part: ``test``, else ``val``.

    Returns:
        The folder of the part, its files with their labels in order, names of the classes (those of
        the training part).

    Raises:
        UserError: If the folder or the part is not there, empty, or has a class of its own.
    """
    if not root.is_dir():
        raise UserError(f"--dataset folder:{root}: no such folder; must hold one folder a class")
    train = root / "train" if (root / "train").is_dir() else root
    names = _classes(train)
    part = _test_part(root) if test else train
    strangers = sorted(set(_classes(part)) - set(names))
    if strangers:
        raise UserError(f"--dataset folder:{root}: class {strangers[0]} of {part.name}/ is not in train/")
    files = [(path, label) for label, name in enumerate(names) for path in _images(part / name)]
    if not files:
        raise UserError(f"--dataset folder:{root}: holds no images; must hold one folder of images a class")
    return part, files, names


def _classes(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")))


def _test_part(root: Path) -> Path:
    for name in ("test", "val"):
        if (root / "train").is_dir() and (root / name).is_dir():
            return root / name
    raise UserError(f"--dataset folder:{root}: has no test part; must hold train/ and test/ (or val/)")


def _images(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())


def _key(part: Path, files: list[tuple[Path, int]], size: int) -> str:
    rows = [
        (str(path.relative_to(part)), label, path.stat().st_size, path.stat().st_mtime_ns)
        for path, label in files
    ]
    return hashlib.sha256(json.dumps([size, rows]).encode()).hexdigest()[:16]


def _cached(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    try:
        images = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return images if images.shape == shape and images.dtype == np.uint8 else None


def _write(path: Path, images: NDArray[np.uint8]) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            np.save(file, images, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise UserError(
            f"--data-dir: cannot write {path.parent} ({error.strerror}); must be a writable folder"
        ) from error


def _resize_all(paths: list[Path], size: int) -> NDArray[np.uint8]:
    result = np.empty((len(paths), size, size, 3), dtype=np.uint8)
    with ThreadPoolExecutor() as pool:
        for target, image in zip(result, pool.map(lambda path: _resize(path, size), paths), strict=True):
            target[...] = image
    return result


def _resize(path: Path, size: int) -> NDArray[np.uint8]:
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as picture:
            picture.draft("RGB", (size, size))
            return np.asarray(ImageOps.fit(picture.convert("RGB"), (size, size), Image.Resampling.BICUBIC))
    except Exception as error:  # Pillow's decoders raise OSError, SyntaxError, ValueError, struct.error...
        raise UserError(
            f"--dataset: {path}: cannot be read as an image; must be whole, or removed"
        ) from error
