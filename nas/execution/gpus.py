"""Which GPUs a process may use and which of them is free, found without importing torch."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nas.util import locks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MIG = "MIG"  # in place of the model of a GPU that is partitioned
_CARD = re.compile(r"GPU (\d+): (.*) \(UUID: ([^)]+)\)")
_UUID = re.compile(r"\(UUID: ([^)]+)\)")


def visible(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Returns the names of the GPUs this process may use, in the form ``CUDA_VISIBLE_DEVICES`` takes.

    Args:
        environ: Environment variables. If ``CUDA_VISIBLE_DEVICES`` is set, as batch systems do, it counts;
            otherwise the driver is asked for UUIDs, since CUDA and the driver number GPUs differently.
    """
    said = environ.get("CUDA_VISIBLE_DEVICES")
    if said is not None:
        names = [name.strip() for name in said.split(",")]
        return list(itertools.takewhile(lambda name: name not in ("", "-1"), names))  # as CUDA reads it
    return parse_listing(_listing())


def models(names: Sequence[str], listing: str | None = None) -> list[str]:
    """Returns the models of GPUs: :data:`MIG` for a partitioned GPU or a part of one, "" if unknown.

    Args:
        names: Names from :func:`visible`.
        listing: The output of ``nvidia-smi -L``; None runs it.
    """
    known: dict[str, str] = {}
    numbered = ""
    for line in (_listing() if listing is None else listing).splitlines():
        head = _CARD.match(line)
        if head is not None:
            numbered = head[1]
            known[numbered] = known[head[3]] = head[2]
            latest = head[3]
        elif numbered and (part := _UUID.search(line)) is not None:
            known[numbered] = known[latest] = known[part[1]] = MIG
    return [MIG if name.startswith("MIG-") else known.get(name, "") for name in names]


def _listing() -> str:
    """Returns the output of ``nvidia-smi -L``, "" if there is no driver."""
    if shutil.which("nvidia-smi") is None:
        return ""
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return listed.stdout if listed.returncode == 0 else ""


def parse_listing(text: str) -> list[str]:
    """Returns the UUIDs in the output of ``nvidia-smi -L``; of a partitioned GPU (MIG) those of its parts."""
    names: list[str] = []
    for line in text.splitlines():
        found = _UUID.search(line)
        if found is None:
            continue
        if found[1].startswith("MIG-") and names and names[-1].startswith("GPU-"):
            names.pop()
        names.append(found[1])
    return names


@dataclass(frozen=True)
class Claim:
    """A claimed GPU; it is free again after :meth:`release` or when the process ends for any reason."""

    name: str
    lock: contextlib.ExitStack

    def release(self) -> None:
        """Releases it."""
        self.lock.close()


def claim(names: Sequence[str], folder: Path | None = None) -> Claim:
    """Claims the GPU that the fewest processes of this machine have claimed, the first in a tie.

    So no one has to assign GPUs to workers: with as many workers as GPUs each worker has one to itself,
    with twice as many each GPU serves two.

    Args:
        names: GPUs to choose from, at least one.
        folder: Folder of the lock files; None: the machine's folder for temporary files.
    """
    place = Path(tempfile.gettempdir()) if folder is None else folder
    for turn in itertools.count():
        for name in names:
            plain = re.sub(r"[^\w-]", "_", name)
            path = place / f"smacnas-{os.getuid()}-gpu-{plain}-{turn}.lock"
            lock = contextlib.ExitStack()
            with contextlib.suppress(locks.LockHeld):
                lock.enter_context(locks.held(path, "training", 0o600, looks=1))
                return Claim(name, lock)
    raise AssertionError("counting never ends")
