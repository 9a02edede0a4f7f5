"""Code of a space that is not ours: whose it is, and who has said that it may run."""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import shlex
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nas.util.errors import SettingError, UserError, setting
from search_spaces import registry
from search_spaces.loading import is_code, is_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from search_spaces.base import SearchSpace

# Not an argument of the network: a folder's config.json could then give it itself.
_TRUSTED: ContextVar[tuple[str, ...]] = ContextVar("trusted", default=())


@contextlib.contextmanager
def trusting(*spaces: str) -> Iterator[None]:
    """Lets networks of these spaces be built: ``path/to/file.py[:Class]`` or ``package.module:Class``.

    A folder that was exported names its space's code by a digest; only code that is named here, and has
    that digest, is run.
    """
    token = _TRUSTED.set(spaces)
    try:
        yield
    finally:
        _TRUSTED.reset(token)


def described(space: SearchSpace, name: str) -> tuple[Path, dict[str, str]]:
    """The file that a space is in, and what is kept of it: its name, its class and its SHA-256.

    Args:
        space: The space.
        name: As the user named it; of a module, that is kept too, since its file alone may not do.

    Raises:
        UserError: If it is written in no file.
    """
    cls = type(space)
    try:
        path = _file(name) if is_file(name) else Path(inspect.getfile(cls))
        if path is None:
            raise FileNotFoundError(name)
        kept = {"file": path.name, "class": cls.__qualname__, "sha256": _sha256(path)}
    except (OSError, TypeError) as error:
        raise UserError(f"search space {space.name}: its code is in no file; write it to one") from error
    return path, kept if is_file(name) else kept | {"module": cls.__module__}


def named(code: Mapping[str, str], folder: str) -> str:
    """What to say to have code run that an exported folder names: its module, or the file in the folder."""
    return f"{code['module']}:{code['class']}" if "module" in code else f"{folder}/{code['file']}"


def find(name: Any, code: Any) -> SearchSpace:
    """The space of an exported network.

    Args:
        name: As config.json has it: a registered one, "" for code that is not ours.
        code: What :func:`described` gave; None for a registered space.

    Raises:
        UserError: If the code may not run, or is not what it was.
    """
    if code is None:
        if not isinstance(name, str) or is_code(name):
            raise UserError(f"space {name!r}: must be a registered one; other code is named by a digest")
        return registry.get(name)
    if not isinstance(code, dict) or not all(
        isinstance(code.get(key), str) for key in ("file", "class", "sha256")
    ):
        raise UserError("config.json: code: must have file, class and sha256")
    trusted = _TRUSTED.get()
    for one in trusted:
        if is_code(one) and (path := _file(one)) is not None and _sha256(path) == code["sha256"]:
            place = path if is_file(one) else type(registry.get(one)).__module__
            return registry.get(f"{place}:{code['class']}")
    raise refusal(code, trusted)


def refusal(code: Mapping[str, Any], trusted: tuple[str, ...], folder: Path | None = None) -> UserError:
    """Says that code is not run, and what to say to have it run."""
    file = Path(str(code.get("file"))).name
    beside = shlex.quote(file if folder is None else str(folder / file))
    if isinstance(code.get("module"), str):  # which is not looked for: that alone could run code
        module = shlex.quote(f"{code['module']}:{code.get('class')}")
        beside = f"{module} where that can be imported, or {beside}"
    if trusted:
        digest = str(code.get("sha256"))[:12]
        return SettingError(
            "space",
            " ".join(trusted),
            f"is not the code that this network was exported with (SHA-256 {digest}...); say "
            f"{setting('space', beside)}",
        )
    return SettingError(
        "space",
        None,
        f"this network is built by code that came with it, {file}; read it, and to have it run say "
        f"{setting('space', beside)}",
    )


def is_trusted(code: Mapping[str, Any], trusted: tuple[str, ...]) -> bool:
    """Whether one of the named spaces is this code; no file is run, a module that was named is imported."""
    files = [path for one in trusted if is_code(one) and (path := _file(one)) is not None]
    return any(_sha256(path) == code.get("sha256") for path in files)


def _file(name: str) -> Path | None:
    """Where a space's code is, None if there is no such file.

    Raises:
        UserError: If it is a module's, and there is none.
    """
    if not is_file(name):
        return Path(inspect.getfile(type(registry.get(name))))
    place, _, attribute = name.rpartition(":")
    path = Path(place or attribute).expanduser().resolve()
    return path if path.is_file() else None


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
