"""Every command that the program tells people to type: quoted, and such that it works as printed."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path


def typed(module: str, *args: object, python: str = "python") -> str:
    """One command, quoted for a shell."""
    return shlex.join([python, "-m", module, *map(str, args)])


def extra(name: str) -> str:
    """What to type for an optional part of this package."""
    return shlex.join(["uv", "sync", "--extra", name])


def interpreter() -> str:
    """What to type for this interpreter: its path, unless ``python`` already means it."""
    found = shutil.which("python")
    if found is not None and Path(found).absolute() == Path(sys.executable).absolute():
        return "python"
    near = os.path.relpath(sys.executable)
    return sys.executable if near.startswith("..") else near
