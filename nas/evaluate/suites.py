"""ImageNet and the robustness datasets of NEXcepTion's Table 2, in folders named by ImageNet's classes."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from nas.data import listing, pictures
from nas.util.errors import SettingError, setting

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nas.data.pictures import Pictures

# ImageNet-A (arXiv:1907.07174) and -R (arXiv:2006.16241) have 200 of the 1,000 classes, among which a network
# chooses; ImageNet-Sketch (arXiv:1905.13549) has all. timm ships the lists.
SUITES = {"imagenet-a": "imagenet_a", "imagenet-r": "imagenet_r", "imagenet-sketch": "imagenet"}
IMAGENET_CLASSES = 1000


def imagenet_classes(name: str = "imagenet") -> list[str]:
    """Returns the WordNet ids of a dataset's classes, in the order of the classifier's outputs."""
    return _list(f"{name}_synsets.txt")


def read(suite: str, spec: str, num_classes: int) -> tuple[Pictures, list[int] | None]:
    """Reads a robustness dataset.

    Args:
        suite: One of :data:`SUITES`.
        spec: ``folder:DIR``, where DIR holds one folder per class, named by WordNet id.
        num_classes: Number of classes of the network.

    Returns:
        The images, labelled by their index among the dataset's classes; and the outputs to choose among,
        None for all.

    Raises:
        UserError: If the folder has another layout, or the network is not for ImageNet's 1,000 classes.
    """
    if num_classes != IMAGENET_CLASSES:
        raise SettingError(
            "suite", suite, f"needs a network of ImageNet's 1000 classes, this has {num_classes}"
        )
    kind, _, place = spec.partition(":")
    if kind != "folder" or not place:
        raise SettingError("data", spec, f"must be folder:DIR for {setting('suite', suite)}")
    name = SUITES[suite]
    found = from_folder(spec, Path(place).expanduser(), imagenet_classes(name))
    outputs = None if name == "imagenet" else [int(line) for line in _list(f"{name}_indices.txt")]
    return found, outputs


def from_folder(spec: str, root: Path, class_names: Sequence[str]) -> Pictures:
    """Reads a folder of class folders whose names, not their order, determine the labels.

    Args:
        spec: The dataset as the user named it.
        root: Folder of class folders; not every class needs one.
        class_names: All classes, in the order of the classifier's outputs.

    Raises:
        UserError: If a folder is not one of the classes, or there are none.
    """
    found = listing.listed(root)
    known = {unicodedata.normalize("NFC", name): label for label, name in enumerate(class_names)}
    strangers = [name for name in found.class_names if name not in known]
    if strangers:
        raise SettingError(
            "data",
            spec,
            f"folder {strangers[0]} is none of the {len(class_names)} classes; must be named "
            f"like {class_names[0]}",
        )
    labelled = tuple((path, known[found.class_names[label]]) for path, label in found.files)
    return pictures.from_listing(spec, replace(found, files=labelled, class_names=tuple(class_names)))


def _list(name: str) -> list[str]:
    return (files("timm.data") / "_info" / name).read_text().split()
