"""Atomic replacement of files: readers see either the old or the new file."""

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
    """Yields a temporary path next to ``path``; the file written there replaces ``path`` at the end.

    It is flushed to the disk first, so that a power cut leaves the old or the new file. The temporary name
    has the same ending, from which some writers take the format.

    Raises:
        OSError: If it cannot be written; the old file is then unchanged.
    """
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        synced(temporary)
        temporary.replace(path)
        synced(path.parent)
    finally:
        with contextlib.suppress(OSError):  # of a disk that cannot be written at all
            temporary.unlink(missing_ok=True)


def overwrite(path: Path, contents: bytes | str) -> None:
    """Replaces a file, like :func:`replacing`; text is written in UTF-8.

    Raises:
        OSError: If it cannot be written; the old file is then unchanged.
    """
    with replacing(path) as temporary:
        temporary.write_bytes(contents if isinstance(contents, bytes) else contents.encode())


def synced(path: Path) -> None:
    """Flushes a file, or the list of files of a folder, to the disk.

    Raises:
        OSError: If that fails.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # the answer of file systems that cannot do it for folders
            raise
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def written(place: object, otherwise: str) -> Iterator[None]:
    """Turns errors of the disk inside the block into a one-line error; others pass unchanged.

    Args:
        place: The setting and its value, or the file.
        otherwise: What would be valid, if the disk is not full.

    Raises:
        UserError: If the disk cannot be written.
    """
    try:
        yield
    except Exception as error:
        refusal = disk_error(error)
        if refusal is None:
            raise
        raise not_written(place, refusal, otherwise) from error
