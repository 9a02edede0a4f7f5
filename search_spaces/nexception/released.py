"""The weights that NEXcepTion's authors released, under the names that their files give them.

Their networks are the same as ours; only the layers' names differ. A file is what timm's ``train.py`` saves,
a mapping with the weights under ``state_dict``, or that mapping alone. Where they lie: docs/publish.md.
"""

from __future__ import annotations

import argparse
import hashlib
import pickle
import zipfile
from typing import TYPE_CHECKING, Any

import search_spaces
from nas.util.errors import SettingError, setting
from search_spaces.exporting import ReleasedWeights
from search_spaces.nexception.builder import build
from search_spaces.nexception.geometry import NEXCEPTION_S, NEXCEPTION_T, NEXCEPTION_TP

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from search_spaces.base import Config
    from search_spaces.nexception.geometry import Geometry

_POINT = "nexception"
_GEOMETRIES = {"t": NEXCEPTION_T, "s": NEXCEPTION_S, "tp": NEXCEPTION_TP}
_CLASSIFIER = "head.fc.weight"
# Layers of a block without downsampling, by their place in ours; in the others only the last has a name.
_LAYERS = {"0": "sepconv1", "1": "norm1", "3": "sepconv2", "4": "norm2", "5": "sepconv3", "6": "block_end"}
_SHORTCUT = {"0": "skip", "1": "skipbn"}


def read(path: Path, config: Config, geometry: Geometry) -> ReleasedWeights:
    """Reads a released file for a network that is to be exported.

    Args:
        path: The file. Nothing in it is run.
        config: The network's configuration, which must be NEXcepTion's.
        geometry: Its widths and depths.

    Raises:
        UserError: If the file holds anything but this network's weights, whole and finite.
    """
    if config != search_spaces.get(_POINT).points[_POINT]:
        raise SettingError("weights", path, f"belong to the configuration {_POINT}; export that one")
    theirs = _weights(path)
    if (misfit := _misfit(theirs, geometry)) is not None:
        right = next((short for short, known in _GEOMETRIES.items() if _misfit(theirs, known) is None), None)
        if right is not None:
            raise SettingError(
                "weights", path, f"are those of {_GEOMETRIES[right].name}; add {setting('geometry', right)}"
            )
        raise SettingError("weights", path, f"are not those of {geometry.name} ({misfit})")
    broken = next((name for name, value in theirs.items() if not bool(value.isfinite().all())), None)
    if broken is not None:
        raise SettingError("weights", path, f"{broken} holds numbers that are not finite; get the file again")
    names = {key: released_name(key, pyramid=geometry.pyramid) for key in _shapes(geometry, 1)}
    state = {ours: theirs[name] for ours, name in names.items()}
    facts = {"by": "NEXcepTion's authors", "file": path.name, "sha256": _digest(path)}
    return ReleasedWeights(state, len(state[_CLASSIFIER]), facts)


def released_name(key: str, *, pyramid: bool) -> str:
    """Returns the release's name of one of our weights.

    Args:
        key: Our name, as in ``state_dict``.
        pyramid: Whether the network is a pyramid (NEXcepTion-TP).
    """
    room, place, *rest = key.split(".")
    if room == "stem":
        return ".".join(["stem", *rest])
    if room == "tail":
        return ".".join(["exit_flow", str(int(rest[0]) + 1), *rest[1:]])
    if room == "head":
        return key if pyramid else key.removeprefix("head.")
    stage, block, layer = int(place), int(rest[0]), rest[1:]
    if pyramid and stage > 0 and block == 0:
        return ".".join([f"stages.{stage}.downsample", *layer])
    if pyramid:
        prefix, down = f"stages.{stage}.blocks.{block - (stage > 0)}", False
    elif stage == 3:
        prefix, down = "exit_flow.0", True
    elif block == 0:
        prefix, down = f"downsampling_block{stage + 1}", True
    else:
        prefix, down = f"middle_flow.{block - 1}", False
    return ".".join([prefix, _layer(layer[0], layer[1], down), *layer[2:]])


def _layer(part: str, place: str, down: bool) -> str:
    if part == "shortcut":
        return _SHORTCUT[place]
    if down and _LAYERS.get(place) != "block_end":
        return f"rep.{place}"
    return _LAYERS[place]


def _shapes(geometry: Geometry, num_classes: int) -> dict[str, tuple[int, ...]]:
    import torch

    with torch.device("meta"):
        model = build(search_spaces.get(_POINT).points[_POINT], geometry, num_classes)
    return {key: tuple(value.shape) for key, value in model.state_dict().items()}


def _misfit(theirs: Mapping[str, Tensor], geometry: Geometry) -> str | None:
    """Returns the first reason why the weights do not fit this network, None if they do."""
    classifier = theirs.get(released_name(_CLASSIFIER, pyramid=geometry.pyramid))
    classes = len(classifier) if classifier is not None and classifier.ndim else 1
    wanted = {
        released_name(key, pyramid=geometry.pyramid): shape
        for key, shape in _shapes(geometry, classes).items()
    }
    for name, shape in wanted.items():
        if name not in theirs:
            return f"{name} is missing"
        if (found := tuple(theirs[name].shape)) != shape:
            return f"{name} is of shape {found}, must be {shape}"
    stranger = next((name for name in theirs if name not in wanted), None)
    return None if stranger is None else f"{stranger} is not one of its weights"


def _weights(path: Path) -> dict[str, Tensor]:
    import torch

    contents = _load(path)
    if isinstance(contents, dict) and isinstance(contents.get("state_dict"), dict):
        contents = contents["state_dict"]
    if (
        not isinstance(contents, dict)
        or not contents
        or not all(
            isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in contents.items()
        )
    ):
        raise SettingError(
            "weights", path, "holds no weights by name; must be a checkpoint of NEXcepTion's release"
        )
    wrapped = all(key.startswith("module.") for key in contents)  # saved out of DistributedDataParallel
    return {key.removeprefix("module.") if wrapped else key: value for key, value in contents.items()}


def _load(path: Path) -> Any:
    import torch

    if not path.is_file():
        raise SettingError("weights", path, "no such file; must be a checkpoint of NEXcepTion's release")
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:  # torch.load does not look at the checksums
                if archive.testzip() is not None:
                    raise zipfile.BadZipFile("checksum does not match")
        # train.py's options lie beside the weights: a plain holder of values.
        with torch.serialization.safe_globals([argparse.Namespace]):
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise SettingError("weights", path, f"cannot be read ({error.strerror or error})") from None
    except pickle.UnpicklingError as error:
        if "global" in str(error).lower():  # torch's word for what unpickling would have to import
            raise SettingError(
                "weights",
                path,
                "holds more than weights and plain values, and such files can run code; get one without",
            ) from None
        raise SettingError("weights", path, "is no checkpoint of PyTorch; must be one") from None
    except Exception:  # whatever a damaged file makes torch stumble over
        raise SettingError("weights", path, "is damaged, or no checkpoint of PyTorch; get it again") from None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
