"""Formats the commands that messages suggest, quoted so that they work as printed."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path


def typed(module: str, *args: object, python: str = "python") -> str:
    """Formats one command, quoted for a shell."""
    return shlex.join([python, "-m", module, *map(str, args)])


def extra(name: str) -> str:
    """Returns the command that installs an optional part of this package."""
    return shlex.join(["uv", "sync", "--extra", name])


def interpreter() -> str:
    """Returns how to call this interpreter: ``python`` if that is this one, else its path."""
    found = shutil.which("python")
    if found is not None and Path(found).absolute() == Path(sys.executable).absolute():
        return "python"
    near = os.path.relpath(sys.executable)
    return sys.executable if near.startswith("..") else near
