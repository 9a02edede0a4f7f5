"""Checks of user input: texts that files and terminals can represent, and paths."""

from __future__ import annotations

import os
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_type_hints

import tyro

from nas.util.errors import SettingError, UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

T = TypeVar("T")

_LARGEST = 2**53  # JSON's readers keep integers exact up to here
_LONGEST_NAME = 200  # bytes, of the 255 of file systems, since longer names are derived from it
_POSITIONAL = get_args(tyro.conf.Positional[int])[1]


def checked(settings: T) -> T:
    """Checks settings and replaces ``~`` in paths by the home folder.

    Args:
        settings: A dataclass of flags, possibly nested.

    Raises:
        UserError: If a text is not UTF-8 or has a NUL, a path is empty or one of its names too long, or a
            number is too large for the run's files.
    """
    changed: dict[str, Any] = {}
    for field in fields(settings):  # type: ignore[arg-type]
        value = getattr(settings, field.name)
        found = _checked(field.name, value)
        if found is not value:
            changed[field.name] = found
    return replace(settings, **changed) if changed else settings  # type: ignore[type-var]


def flags(settings: type) -> dict[str, str]:
    """Returns the flags of the fields of a dataclass, including nested ones.

    A field is found by its name and, since several may share one, by its group's: ``train.optimizer``.
    """
    found: dict[str, str] = {}
    hints = get_type_hints(settings, include_extras=True)
    for group in fields(settings):
        part = _plain(hints[group.name])
        if not (isinstance(part, type) and is_dataclass(part)):
            found.setdefault(group.name, flag(group.name, hints[group.name]))
            continue
        for name, own in flags(part).items():
            found.setdefault(name, own)
            if "." not in name:
                found[f"{group.name}.{name}"] = own
    return found


def flag(name: str, hint: Any = None) -> str:
    """Returns the flag of a field."""
    metadata = getattr(hint, "__metadata__", ())
    if _POSITIONAL in metadata:
        return name.upper()
    given = next((own for one in metadata if (own := getattr(one, "name", None))), None)
    return f"--{(given or name).replace('_', '-')}"


def _plain(hint: Any) -> Any:
    return get_args(hint)[0] if hasattr(hint, "__metadata__") else hint


def _checked(field: str, value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return checked(value)
    if isinstance(value, tuple):
        found = tuple(_checked(field, one) for one in value)
        return found if any(a is not b for a, b in zip(found, value, strict=True)) else value
    if isinstance(value, str):
        _refuse_odd_text(field, value)
    elif isinstance(value, Path):
        return path(field, value)
    elif isinstance(value, int) and abs(value) > _LARGEST:
        raise SettingError(field, value, f"must be at most {_LARGEST:,}")
    return value


def path(field: str, path: Path) -> Path:
    """Replaces ``~`` in a path by the home folder.

    Raises:
        UserError: If it is not UTF-8, one of its names is too long, or there is no such user.
    """
    _refuse_odd_text(field, str(path))
    for name in path.parts:
        refuse_long_name(field, name)
    try:
        found = path.expanduser()
    except RuntimeError:
        rule = f"no such user; write ./{path} for a folder of that name"
        raise SettingError(field, path, rule) from None
    return path if found == path else found


def refuse_long_name(field: str, name: str) -> None:
    """Refuses a file's or folder's name that is too long to derive other names from.

    Raises:
        UserError: If it is too long.
    """
    if (length := len(os.fsencode(name))) > _LONGEST_NAME:
        rule = f"{length} bytes long; must be at most {_LONGEST_NAME}"
        raise SettingError(field, name, rule, f"{name[:20]}...")


def refuse_empty(args: Sequence[str]) -> None:
    """Refuses empty arguments, such as unset variables of a shell.

    Raises:
        UserError: If there are any; it names the flag before.
    """
    for place, arg in enumerate(args):
        if arg == "":
            before = args[place - 1] if place else ""
            named = before if before.startswith("--") else f"argument {place + 1}"
            raise UserError(f"{named}: is empty; must say something")
        if arg.startswith("--") and arg.endswith("=") and arg.count("=") == 1:
            raise UserError(f"{arg[:-1]}: is empty; must say something")


def _refuse_odd_text(field: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise SettingError(field, text, "is not UTF-8; rename it", repr(os.fsencode(text))) from None
    if "\0" in text:
        raise SettingError(field, text, "holds a NUL character; must be without", repr(text))


def respelled(args: Iterable[str], renamed: Mapping[str, str]) -> list[str]:
    """Replaces flags of earlier versions, which scripts may use, by the present ones.

    Args:
        args: The arguments as typed.
        renamed: New flag by old flag, with their dashes; or ``--flag value`` by ``--flag value``.
    """
    found: list[str] = []
    flags = True
    for arg in args:
        flags = flags and arg != "--"
        found.append(_respelled(arg, found[-1] if found else "", renamed) if flags else arg)
    return found


def _respelled(arg: str, before: str, renamed: Mapping[str, str]) -> str:
    flag, equals, value = arg.partition("=")
    if not flag.startswith("--"):
        return renamed.get(f"{_dashed(before)} {arg}", f" {arg}").partition(" ")[2]
    flag = renamed.get(_dashed(flag), flag)
    if equals and (pair := renamed.get(f"{_dashed(flag)} {value}")) is not None:
        value = pair.partition(" ")[2]
    return f"{flag}{equals}{value}"


def _dashed(flag: str) -> str:
    return flag.replace("_", "-")
