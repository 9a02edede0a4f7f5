"""The size of a data set's download, so that it can be announced."""

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
    """Bytes that will be downloaded for a data set; 0 if it is there, or none of those that are fetched.

    Args:
        spec: As for :func:`nas.data.sources.load`.
        data_dir: Where it is kept.
    """
    archive, folder = _ARCHIVES.get(spec, (0, ""))
    return 0 if not archive or (data_dir / folder).is_dir() else archive
