"""Images given as arrays or as a torch dataset, written once to the run folder for its trial processes."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.data.images import checked
from nas.run.folder import Run
from nas.util.errors import SettingError, UserError, not_written
from nas.util.quantities import format_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from nas.data.images import ImageSet

_SHOWN = 100_000_000  # bytes from which a line announces the writing
_FORMS = (
    "must be a name such as 'cifar100', 'npz:FILE' or 'folder:DIR', (images, labels), "
    "(images, labels, classes) or a torch Dataset of such pairs"
)


def read(data: Any) -> ImageSet:
    """Converts a user's data to an ``ImageSet``.

    Args:
        data: Images uint8 ``(N, H, W)`` or ``(N, H, W, C)``, labels ``(N,)`` and optionally names of the
            classes; or a dataset with a length whose items are pairs of an image and its label.

    Raises:
        UserError: If it is none of these, or the images are invalid.
    """
    if isinstance(data, tuple | list) and len(data) in (2, 3):
        images, labels, *names = data
        classes = tuple(map(str, names[0])) if names else None
    elif (
        hasattr(data, "__getitem__")
        and hasattr(data, "__len__")
        and not isinstance(data, tuple | list | dict)
    ):
        images, labels = _of_dataset(data)
        classes = tuple(map(str, getattr(data, "classes", ()))) or None
    else:
        raise SettingError("data", type(data).__name__, _FORMS)
    try:
        return checked("", _array(images), _array(labels), classes)
    except SettingError as error:
        raise SettingError("data", None, error.rule) from None


@contextlib.contextmanager
def placed(path: Path, images: ImageSet, note: Callable[[str], None]) -> Iterator[str]:
    """Creates a run folder that holds only its images, for ``session.begin``; yields the dataset's name.

    If no run begins, the folder is removed.

    Args:
        path: The folder.
        images: The images to write.
        note: Called with one line on what takes time.

    Raises:
        UserError: If it exists or cannot be written.
    """
    file = Run(path).images
    if images.images.nbytes >= _SHOWN:
        note(f"writing {format_size(images.images.nbytes)} of images to {file}")
    try:
        path.mkdir(parents=True)
        names = np.array(images.class_names)
        np.savez(file, x_train=images.images, y_train=images.labels, classes=names)
    except FileExistsError:
        raise UserError(f"{path}: exists already; must be a new folder") from None
    except OSError as error:
        _remove(path, file)
        raise not_written(path, error, "must be a folder one can write to") from error
    try:
        yield f"npz:{file.resolve()}"
    finally:
        if not Run(path).search_json.exists():
            _remove(path, file)


def _remove(path: Path, file: Path) -> None:
    file.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        path.rmdir()


def _array(values: Any) -> NDArray[Any]:
    return np.asarray(values.numpy() if hasattr(values, "numpy") else values)


@dataclass(frozen=True)
class _Item:
    image: NDArray[np.uint8]
    label: int


def _of_dataset(data: Any) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images ``(N, H, W, C)`` and labels ``(N,)`` of a map-style data set, looked at one after another.

    Raises:
        UserError: If they differ in size, or are not what a transform without chance gives.
    """
    if not len(data):
        raise UserError("data: holds no images")
    first = _item(data, 0)
    if not np.array_equal(first.image, _item(data, 0).image):
        raise UserError("data: image 0 is another one each time; give the set without random transforms")
    images = np.empty((len(data), *first.image.shape), np.uint8)
    labels = np.empty(len(data), np.int64)
    for place in range(len(data)):
        item = _item(data, place)
        if item.image.shape != first.image.shape:
            sizes = " and ".join("x".join(map(str, one.image.shape[:2])) for one in (first, item))
            raise UserError(f"data: images of {sizes} pixels (image {place}); must be of one size")
        images[place], labels[place] = item.image, item.label
    return images, labels


def _item(data: Any, place: int) -> _Item:
    item = data[place]
    if not isinstance(item, tuple | list) or len(item) < 2:
        raise UserError(f"data: item {place} is {type(item).__name__}; must be an image and its label")
    label = item[1].item() if hasattr(item[1], "item") and np.ndim(item[1]) == 0 else item[1]
    if isinstance(label, bool) or not isinstance(label, int):
        raise UserError(f"data: the label of image {place} is {label!r}; must be a whole number from 0 on")
    return _Item(_picture(item[0], place), label)


def _picture(image: Any, place: int) -> NDArray[np.uint8]:
    """An image as uint8 ``(H, W, C)``.

    Args:
        image: A PIL image, an array ``(H, W)`` or ``(H, W, C)``, or a tensor ``(C, H, W)`` as torchvision's
            ``ToTensor`` and ``PILToTensor`` make them.
        place: Its number, for messages.

    Raises:
        UserError: If it is none of these.
    """
    is_tensor = hasattr(image, "numpy")
    pixels = _array(image)
    if is_tensor and pixels.ndim == 3:
        pixels = np.moveaxis(pixels, 0, -1)
    if np.issubdtype(pixels.dtype, np.floating):
        scaled = np.rint(pixels * 255)
        if not (np.all((scaled >= 0) & (scaled <= 255)) and np.allclose(pixels * 255, scaled, atol=1e-2)):
            raise UserError(
                f"data: image {place} holds {pixels.min():.2g} to {pixels.max():.2g}; must be 0 to 255, or "
                "these over 255 as ToTensor gives: leave Normalize and other transforms out"
            )
        pixels = scaled.astype(np.uint8)
    if pixels.dtype != np.uint8:
        raise UserError(f"data: image {place} is {pixels.dtype}; must be uint8, 0 to 255")
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or pixels.shape[-1] not in (1, 3):
        raise UserError(
            f"data: image {place} has shape {pixels.shape}; must be (H, W) or (H, W, C), C 1 or 3"
        )
    return pixels
