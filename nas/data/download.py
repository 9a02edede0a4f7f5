"""The size of a dataset's download, so that it can be announced."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# Bytes of the archives at https://www.cs.toronto.edu/~kriz/cifar.html, and the folders they unpack to.
_ARCHIVES = {
    "cifar10": (170_498_071, "cifar-10-batches-py"),
    "cifar100": (169_001_437, "cifar-100-python"),
}


def size(spec: str, data_dir: Path) -> int:
    """Returns the bytes that will be downloaded for a dataset, 0 if it is there or needs no download.

    Args:
        spec: The dataset, see :func:`nas.data.sources.load`.
        data_dir: Folder of downloads.
    """
    archive, folder = _ARCHIVES.get(spec, (0, ""))
    return 0 if not archive or (data_dir / folder).is_dir() else archive
