"""Weights of the best networks as they were validated: one safetensors file each, within a quota."""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from nas.util.errors import UserError, disk_error, first_line
from nas.util.files import overwrite

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

_NAME = re.compile(r"[0-9a-zA-Z_]+-\d+\.safetensors")
_FACTS = "smacnas"


class WeightsNotWritten(OSError):
    """A network's weights could not be written; earlier files are intact."""


@dataclass(frozen=True, eq=False)
class SavedWeights:
    """A network's weights as they were validated.

    Attributes:
        tensors: Weights and buffers by name, on the CPU.
        facts: ``config_id``, ``config``, ``epochs``, ``seed``, ``top1`` and ``val_loss`` on the validation
            part, and ``mean`` and ``std`` that its images were normalised with, of pixels scaled to 0..1.
    """

    tensors: dict[str, Tensor]
    facts: dict[str, Any]


class WeightStore:
    """A folder of ``<config_id>-<epochs>.safetensors`` files, written atomically.

    Args:
        folder: The folder; created when first needed.
        quota_bytes: Size that :meth:`prune` reduces the folder to, bytes.
    """

    def __init__(self, folder: Path, quota_bytes: int) -> None:
        self._folder = folder
        self._quota = quota_bytes

    def path(self, key: str, epochs: int) -> Path:
        """Returns the path of a network's file, whether it exists or not.

        Args:
            key: The configuration's id, followed by ``_N`` for the N-th seed of a confirmation.
            epochs: Number of epochs it was trained for.
        """
        return self._folder / file_name(key, epochs)

    def save(self, key: str, epochs: int, tensors: Mapping[str, Tensor], facts: Mapping[str, object]) -> None:
        """Writes a network's weights.

        Raises:
            WeightsNotWritten: If they cannot be written.
        """
        from safetensors.torch import save  # here, since the search manages these files without torch

        packed = save(
            {name: tensor.contiguous() for name, tensor in tensors.items()},
            {_FACTS: json.dumps(dict(facts))},  # one key: the order of several would vary
        )
        self.put(file_name(key, epochs), packed)

    def get(self, key: str, epochs: int) -> tuple[str, bytes] | None:
        """Returns name and contents of a file, for another machine."""
        path = self.path(key, epochs)
        with contextlib.suppress(FileNotFoundError):
            return path.name, path.read_bytes()
        return None

    def put(self, name: str, data: bytes) -> None:
        """Writes a file that :meth:`get` returned on another machine.

        Raises:
            WeightsNotWritten: If it cannot be written, or the name is not that of such a file.
        """
        if _NAME.fullmatch(name) is None:  # a foreign journal must not choose where this writes
            raise WeightsNotWritten(f"cannot write weights {name!r}: not such a file's name")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            overwrite(self._folder / name, data)
        except OSError as error:
            reason = error.strerror or first_line(error)
            raise WeightsNotWritten(f"cannot write weights {name}: {reason}") from error

    def prune(self, lost: Collection[str], best_first: Sequence[str]) -> None:
        """Removes files that are no longer among the best, then the least important until the quota is met.

        Args:
            lost: Names of files to remove.
            best_first: Names of files to keep, the most important first. Files in neither list, such as those
                of a running trial, are kept too, but are the first to go if the quota demands it.
        """
        with contextlib.suppress(OSError):  # a failure to remove files must not end the search
            for name in lost:
                (self._folder / name).unlink(missing_ok=True)
            sizes = file_sizes(self._folder)
            known = [name for name in best_first if name in sizes]
            total = 0
            for name in (*known, *sorted(sizes.keys() - set(known))):
                total += sizes[name]
                if total > self._quota:
                    total -= sizes[name]
                    (self._folder / name).unlink(missing_ok=True)


def file_name(key: str, epochs: int) -> str:
    """Returns the name of a network's file, see :meth:`WeightStore.path`."""
    return f"{key}-{epochs}.safetensors"


def file_sizes(folder: Path) -> dict[str, int]:
    """Returns the size of each file of weights in a folder, bytes, by name."""
    sizes: dict[str, int] = {}
    if folder.is_dir():
        for path in folder.iterdir():
            if _NAME.fullmatch(path.name):
                with contextlib.suppress(FileNotFoundError):
                    sizes[path.name] = path.stat().st_size
    return sizes


def read(path: Path) -> SavedWeights:
    """Reads a file that :meth:`WeightStore.save` wrote.

    Raises:
        UserError: If it is not readable, or not such a file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            facts = _checked(json.loads((file.metadata() or {})[_FACTS]))
            return SavedWeights({name: file.get_tensor(name) for name in file.keys()}, facts)  # noqa: SIM118 - no dict
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        refusal = disk_error(error)
        reason = first_line(error) if refusal is None else refusal.strerror
        raise UserError(f"{path}: weights that cannot be read ({reason}); remove the file") from error


def _checked(facts: Any) -> dict[str, Any]:
    """Returns the facts if they are what :meth:`WeightStore.save` writes.

    Raises:
        ValueError: If they are anything else.
    """
    if not isinstance(facts, dict):
        raise ValueError("its facts are no mapping")
    for name in ("epochs", "seed", "top1", "val_loss"):
        if type(facts.get(name)) not in (int, float):
            raise ValueError(f"its {name} is no number")
    for name in ("mean", "std"):
        values = facts.get(name)
        if not isinstance(values, list) or not values or any(type(value) is not float for value in values):
            raise ValueError(f"its {name} is no list of numbers")
    return facts
