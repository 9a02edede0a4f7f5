"""DeepCAVE's own environment: built once from its lock file, found ever after.

DeepCAVE needs Python 3.10 and the web libraries of 2021. They stay in an environment of their own
beside the project file ``analysis/deepcave/pyproject.toml``, so that training does not.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from nas.util.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROJECT = Path(__file__).resolve().parent

_OFFLINE = (
    "dns error",
    "error sending request",
    "failed to fetch",
    "network",
    "could not connect",
    "offline",
)

# uv's words for a Python on the PATH that does not run, such as a version manager's stub for a missing one.
_SHIM = "Failed to inspect Python interpreter"


def announce(text: str) -> None:
    """Says something to the person at the terminal, out of the way of a command's output."""
    print(text, file=sys.stderr, flush=True)


def find() -> Path | None:
    """The environment's Python, or None if it has not been built from the current lock file."""
    place = _place()
    python = place / "bin" / "python"
    stamp = place / ".built-from"
    if not python.exists() or not stamp.is_file() or stamp.read_text() != _fingerprint():
        return None
    return python


def ensure(say: Callable[[str], None] = announce) -> Path:
    """Builds the environment if that has not been done; returns its Python.

    Args:
        say: Called with a line that it takes a while.

    Raises:
        UserError: If uv is missing or the packages cannot be had.
    """
    python = find()
    if python is not None:
        return python
    uv = _uv()
    say("preparing DeepCAVE, once, about a minute ...")
    place = _place()
    built = _sync(uv, place)
    if built.returncode != 0 and _SHIM in built.stderr:
        built = _sync(uv, place, UV_PYTHON_PREFERENCE="only-managed")
    if built.returncode != 0:
        raise UserError(f"DeepCAVE's environment could not be built: {_why(built.stderr)}")
    (place / ".built-from").write_text(_fingerprint())
    return place / "bin" / "python"


def _sync(uv: str, place: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [uv, "sync", "--frozen", "--no-progress", "--project", PROJECT],
        env=_clean(os.environ) | {"UV_PROJECT_ENVIRONMENT": str(place), **more},
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def variables() -> dict[str, str]:
    """Environment variables for a process of that environment: ours, less what would lead it astray."""
    return _clean(os.environ) | {"PYTHONPATH": str(PROJECT), "MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1"}


def _clean(inherited: os._Environ[str]) -> dict[str, str]:
    # pyenv sets its version for all that a Python of it starts, so that no other Python is found there.
    astray = (
        "VIRTUAL_ENV",
        "PYTHONPATH",
        "PYTHONHOME",
        "UV_PROJECT_ENVIRONMENT",
        "UV_PYTHON",
        "PYENV_VERSION",
    )
    return {key: value for key, value in inherited.items() if key not in astray}


def _place() -> Path:
    if os.access(PROJECT, os.W_OK):
        return PROJECT / ".venv"
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "smacnas" / f"deepcave-{_fingerprint()}"


def _fingerprint() -> str:
    files = (PROJECT / "pyproject.toml", PROJECT / "uv.lock", PROJECT / ".python-version")
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:12]


def _uv() -> str:
    for candidate in _candidates():
        # Version managers leave stubs on the PATH that refuse to run for some folder's Python.
        tried = subprocess.run([candidate, "--version"], cwd=PROJECT, capture_output=True, check=False)
        if tried.returncode == 0:
            return candidate
    raise UserError(
        "DeepCAVE's environment needs uv, which is not on the PATH; install it with: "
        "curl -LsSf https://astral.sh/uv/install.sh | sh"
    )


def _candidates() -> Iterator[str]:
    folders = [PROJECT.parent.parent / ".uv" / "bin"]
    folders += [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    folders += [Path.home() / ".local" / "bin"]
    for folder in folders:
        found = shutil.which("uv", path=str(folder))
        if found:
            yield found


def _why(stderr: str) -> str:
    said = " ".join(stderr.split())
    if any(word in said.lower() for word in _OFFLINE):
        return "no package index can be reached; it needs a network once"
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("error: ") for line in lines if line.startswith("error: ")]
    return (errors or lines[-1:] or ["uv gave no reason"])[0]
