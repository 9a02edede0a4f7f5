"""Sources of images: from a dataset's name to an ``ImageSet``.

``load`` returns the training part only; a search must never call ``load_test``.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.data import duplicates, folder
from nas.data.images import MIN_SIDE, ImageSet, checked, resized
from nas.data.split import stratified_split
from nas.util.errors import SettingError

if TYPE_CHECKING:
    from numpy.typing import NDArray

FORMS = "cifar100, cifar10, digits, npz:FILE or folder:DIR"
# Raised by NumPy and zipfile for damaged archives, whose headers may ask for more memory than there is.
UNREADABLE = (
    *(OSError, ValueError, EOFError, KeyError, TypeError, SyntaxError, MemoryError, OverflowError),
    *(NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error, struct.error),
)
_SIDE = 32  # default size of digits and folders, pixels
_DIGITS_TEST_FRACTION = 0.2
_DIGITS_TEST_SEED = 0  # a constant, not the run's seed: every run must hold out the same images


def load(
    spec: str,
    *,
    data_dir: Path,
    image_size: int | None = None,
    max_images: int | None = None,
    seed: int = 0,
) -> ImageSet:
    """Loads the training part of a dataset.

    Args:
        spec: ``cifar100``, ``cifar10``, ``digits``, ``npz:FILE`` or ``folder:DIR``.
        data_dir: Folder of downloads and resized images.
        image_size: Height and width in pixels to scale and crop to; None keeps them (digits, folders: 32).
        max_images: Size of the stratified subset to take, None for all.
        seed: Decides that subset.

    Raises:
        UserError: If the data do not exist or are invalid.
    """
    images = _part(spec, data_dir, image_size, test=False)
    if max_images is not None:
        images = images.limited(max_images, seed)
    return images


def load_test(spec: str, *, data_dir: Path, image_size: int | None = None) -> ImageSet:
    """Loads the test set, for the final evaluation of a finished network.

    Args:
        spec: See :func:`load`.
        data_dir: See :func:`load`.
        image_size: See :func:`load`.

    Raises:
        UserError: If there is no test part, or it is invalid.
    """
    return _part(spec, data_dir, image_size, test=True)


def _part(spec: str, data_dir: Path, image_size: int | None, *, test: bool) -> ImageSet:
    if image_size is not None and image_size < MIN_SIDE:
        raise SettingError("image_size", image_size, f"must be at least {MIN_SIDE}")
    kind, _, place = spec.partition(":")
    if spec in ("cifar10", "cifar100"):
        result = _cifar(spec, data_dir, test=test)
    elif spec == "digits":
        result = _digits(image_size or _SIDE, test=test)
    elif kind == "npz" and place:
        result = _npz(spec, Path(place).expanduser(), test=test)
    elif kind == "folder" and place:
        size = image_size or _SIDE
        images, labels, found = folder.read(Path(place).expanduser(), size, data_dir / "cache", test=test)
        result = checked(spec, images, labels, found.class_names, min_per_class=0 if test else 2)
        result = replace(result, notes=found.notes)
    else:
        raise SettingError("dataset", spec, f"must be {FORMS}")
    if not test:
        result = _looked_at(result, own=kind in ("npz", "folder"))
    if image_size is None or result.images.shape[1:3] == (image_size, image_size):
        return result
    return replace(result, images=resized(result.images, image_size))


def _looked_at(images: ImageSet, *, own: bool) -> ImageSet:
    """Refuses images that are all the same; adds notes on copies among a user's own images."""
    digests = np.array([duplicates.digest(image.tobytes()) for image in images.images], dtype=np.uint64)
    notes = duplicates.look(images.name, digests, images.labels, images.class_names)
    return replace(images, notes=images.notes + notes) if own else images


def _cifar(name: str, data_dir: Path, *, test: bool) -> ImageSet:
    """CIFAR-10 or -100 (Krizhevsky, 2009) through torchvision, which checks every file's MD5."""
    import tarfile

    from torchvision import datasets

    source = datasets.CIFAR10 if name == "cifar10" else datasets.CIFAR100
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        data = source(root=str(data_dir), train=not test, download=True)
    except (PermissionError, FileExistsError, NotADirectoryError) as error:
        raise SettingError("data_dir", data_dir, "cannot be written; must be a writable folder") from error
    except (OSError, RuntimeError, EOFError, tarfile.TarError) as error:
        raise SettingError(
            "dataset",
            name,
            f"download failed; place {source.filename} (MD5 {source.tgz_md5}, from "
            f"{source.url}) in {data_dir} by hand",
        ) from error
    return checked(
        name, data.data, np.asarray(data.targets), tuple(data.classes), min_per_class=0 if test else 2
    )


def _digits(size: int, *, test: bool) -> ImageSet:
    """The 1,797 handwritten 8x8 digits embedded in scikit-learn (UCI, Alpaydin and Kaynak, 1998)."""
    from sklearn.datasets import load_digits

    data = load_digits()
    split = stratified_split(data.target.astype(np.int64), _DIGITS_TEST_FRACTION, _DIGITS_TEST_SEED)
    index = split.val if test else split.train
    grey = np.rint(data.images[index] * (255 / 16)).astype(np.uint8)[..., None]
    return checked("digits", resized(grey, size), data.target[index], flip=False)


def _npz(spec: str, path: Path, *, test: bool) -> ImageSet:
    """Reads an archive with x_train, y_train and optionally x_test, y_test and classes."""
    if not path.is_file():
        raise SettingError("dataset", spec, "no such file; must be an .npz with x_train and y_train")
    with _opened(spec, path) as archive:
        classes = _array(spec, archive, "classes") if "classes" in archive.files else None
        labels = _array(spec, archive, "y_train")
        names = None if classes is None else tuple(str(name) for name in classes.ravel())
        if not test:
            return checked(spec, _array(spec, archive, "x_train"), labels, names)
        if names is None:
            names = tuple(map(str, range(int(labels.max()) + 1)))
        images = _array(spec, archive, "x_test")
        return checked(spec, images, _array(spec, archive, "y_test"), names, min_per_class=0)


def _opened(spec: str, path: Path) -> np.lib.npyio.NpzFile:
    try:
        archive = np.load(path, allow_pickle=False)
    except UNREADABLE as error:
        raise SettingError("dataset", spec, "truncated or no .npz file; must be one NumPy wrote") from error
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise SettingError("dataset", spec, "a single array; must be an .npz with x_train and y_train")
    return archive


def _array(spec: str, archive: np.lib.npyio.NpzFile, key: str) -> NDArray[Any]:
    if key not in archive.files:
        raise SettingError("dataset", spec, f"has no array {key}; has {', '.join(archive.files) or 'none'}")
    try:
        return archive[key]
    except UNREADABLE as error:
        raise SettingError("dataset", spec, f"array {key} is truncated or not of plain numbers") from error
