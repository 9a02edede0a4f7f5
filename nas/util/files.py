"""Files that a reader sees whole, the old one or the new one."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

from nas.util.errors import disk_error, not_written

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Gives a temporary name beside ``path``; what was written there takes the file's place at the end.

    It is on the disk by then, so that a power cut leaves the old file or the new one. The temporary name
    ends as the file's does, which some writers read the format from.

    Raises:
        OSError: If the disk does not take it; the old file then stays.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        synced(temporary)
        temporary.replace(path)
        synced(path.parent)
    finally:
        with contextlib.suppress(OSError):  # a disk that refuses everything
            temporary.unlink(missing_ok=True)


def synced(path: Path) -> None:
    """Waits until a file, or which files are in a folder, is on the disk.

    Raises:
        OSError: If the disk does not take it.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # as file systems say that cannot do it for folders
            raise
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def written(place: object, otherwise: str) -> Iterator[None]:
    """What the disk refuses within becomes one line; any other error stays what it is.

    Args:
        place: The flag and its value, or the file.
        otherwise: What would be right, if the disk has room.

    Raises:
        UserError: If it refuses.
    """
    try:
        yield
    except Exception as error:
        refusal = disk_error(error)
        if refusal is None:
            raise
        raise not_written(place, refusal, otherwise) from error
