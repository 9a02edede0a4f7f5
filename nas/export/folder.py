"""The exported folder in the layout of timm and Hugging Face, written completely or not at all."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.util.documents import read_json
from nas.util.errors import SettingError, UserError, disk_error, not_written, setting
from nas.util.files import synced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import nn

OWN_KEY = "smacnas"  # key in config.json for what timm does not read
RECIPE_OF = "recipe"  # key below it: the origin of recipe.yaml, if that is the search
CHOSEN = "chosen"  # key below it: the recipe's settings that the search chose for this network
FORMS = "forms"  # key below it: the network's other file formats in the folder
CARD = "README.md"
RECIPE = "recipe.yaml"
CONFIG = "config.json"
WEIGHTS = "model.safetensors"


@contextlib.contextmanager
def appearing(target: Path, field: str = "output") -> Iterator[Path]:
    """Yields an empty folder to fill, which becomes ``target`` at the end, or is removed on any error.

    Raises:
        UserError: If the target exists, or no folder can be created there.
    """
    if target.exists():
        raise SettingError(field, target, "exists already; must be a new folder")
    staging: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        staging.chmod(0o755)
        yield staging
        for path in staging.rglob("*"):
            if path.is_file():
                path.chmod(0o644)  # safetensors makes it readable by the owner only
                synced(path)
        staging.rename(target)
        synced(target.parent)
    except Exception as error:
        refusal = disk_error(error)  # safetensors has its own error for a full disk
        if refusal is None:
            raise
        raise not_written(setting(field, target), refusal, "must be a new folder in one of yours") from error
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)


def write(
    folder: Path, model: nn.Module, *, extra: Callable[[Path], object] | None = None, **said: Any
) -> None:
    """Creates a folder and fills it.

    Args:
        folder: The folder to create.
        model: The network, see :func:`fill`.
        extra: Called with the unfinished folder, to add further files.
        **said: Further arguments of :func:`fill`.

    Raises:
        UserError: If the folder exists or cannot be written.
    """
    with appearing(folder) as staging:
        fill(staging, model, **said)
        if extra is not None:
            extra(staging)


def fill(
    staging: Path,
    model: nn.Module,
    *,
    card: str,
    recipe: str,
    own: Mapping[str, Any],
    model_args: Mapping[str, Any] | None = None,
    pretrained_cfg: Mapping[str, Any] | None = None,
    class_names: Sequence[str] = (),
) -> None:
    """Writes config.json, model.safetensors, README.md and recipe.yaml.

    Args:
        staging: An empty folder, see :func:`appearing`.
        model: A network from ``timm.create_model``, on any device.
        card: The model card.
        recipe: How it was or would be trained, YAML.
        own: Entries of config.json under ``smacnas``.
        model_args: Arguments of ``timm.create_model`` for this network.
        pretrained_cfg: Entries of timm's data configuration to set.
        class_names: Names of the classes, or none.
    """
    import torch
    from timm.models import save_for_hf

    contents: dict[str, Any] = {OWN_KEY: dict(own), "pretrained_cfg": dict(pretrained_cfg or {})}
    if class_names:
        contents["label_names"] = list(class_names)
    # safetensors refuses channels_last weights.
    model.to(memory_format=torch.contiguous_format)
    save_for_hf(
        model,
        str(staging),
        model_config=contents,
        model_args=dict(model_args or {}),
        safe_serialization=True,
    )
    (staging / CARD).write_text(card)
    (staging / RECIPE).write_text(recipe)


def read_config(folder: Path) -> dict[str, Any]:
    """Reads config.json of an exported folder.

    Raises:
        UserError: If the folder has none, or it cannot be read.
    """
    path = folder / CONFIG
    if not path.is_file():
        raise UserError(f"{folder}: has no {CONFIG}; must be a folder that nas.export wrote")
    config = read_json(path)
    if not isinstance(config, dict) or not isinstance(config.get("architecture"), str):
        raise UserError(f"{path}: cannot be read (it names no architecture)")
    for key, kind in {"label_names": list, "model_args": dict, "pretrained_cfg": dict, OWN_KEY: dict}.items():
        if not isinstance(config.get(key, kind()), kind):
            raise UserError(f"{path}: {key}: must be a {'list' if kind is list else 'mapping'}")
    return config
