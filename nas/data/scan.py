"""Opens every file of a dataset once, so that damage is reported before hours of training, not after."""

from __future__ import annotations

import contextlib
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from nas.data.decode import Unreadable, open_rgb
from nas.data.duplicates import digest, look
from nas.data.folder import cached, key, refuse_unreadable, write_cache

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from nas.data.pictures import Pictures

_READING = 1  # version of how files are scanned; increase it when that changes
_NEAR = 64  # pixels: JPEG files are decoded at an eighth of their size, which finds damage as well


def scan(
    pictures: Pictures, cache_dir: Path, on_file: Callable[[int, int], object] = lambda *_: None
) -> tuple[str, ...]:
    """Reads every file of a dataset once; the result is cached, so that the next scan takes no time.

    Args:
        pictures: The dataset; one in memory was checked when it was loaded.
        cache_dir: Folder of the result; if it cannot be written, the next scan reads the files again.
        on_file: Called with the number of files done and their total.

    Returns:
        What the user should know about copies, one line each.

    Raises:
        UserError: If files cannot be read as images, or all images are the same.
    """
    if pictures.files is None:
        return ()
    labelled = list(zip(pictures.files, pictures.labels.tolist(), strict=True))
    cache = cache_dir / f"scan-{key(pictures.root, labelled, [_READING])}.npy"
    digests = cached(cache, (len(labelled),), np.uint64)
    if digests is None:
        digests = _look_at_all(pictures.files, on_file)
        with contextlib.suppress(OSError):
            write_cache(cache, digests)
    return look(pictures.name, digests, pictures.labels, pictures.class_names)


def _look_at_all(files: Sequence[Path], on_file: Callable[[int, int], object]) -> NDArray[np.uint64]:
    digests = np.empty(len(files), dtype=np.uint64)
    unreadable: dict[Path, str] = {}
    with ThreadPoolExecutor() as pool, warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        for done, (path, result) in enumerate(zip(files, pool.map(_look_at, files), strict=True)):
            if isinstance(result, str):
                unreadable[path] = result
            else:
                digests[done] = result
            on_file(done + 1, len(files))
    refuse_unreadable(unreadable, len(files))
    return digests


def _look_at(path: Path) -> int | str:
    """Returns the file's digest, or what is wrong with it."""
    try:
        open_rgb(path, near=_NEAR)
        return digest(path.read_bytes())
    except Unreadable as error:
        return str(error)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
