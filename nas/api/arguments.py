"""A setting's keyword in Python: its field, its type, and errors that name it."""

from __future__ import annotations

import contextlib
import difflib
import math
import operator
import os
from collections.abc import Mapping
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from nas.search.settings import SearchSettings
from nas.util import user_input
from nas.util.errors import SettingError, UserError, renamed

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")

_DURATIONS = ("budget", "trial_timeout")
_NUMBERS_AS_TEXT = ("width", "checkpoint_quota")
_COUNTS = ("max_macs", "max_params", "max_memory")
_UNITS = {"max_latency": "ms", "max_train_seconds": "s"}
_OWN_NAMES = {"dataset": "data", "resume": "nas.resume_search"}  # setting -> what it is called here


@contextlib.contextmanager
def named() -> Iterator[None]:
    """Names arguments where the code within names settings.

    Raises:
        UserError: What was raised within, in words of Python.
    """
    try:
        yield
    except SettingError as error:
        rule = renamed(error.rule, argument)
        raise SettingError(argument(error.field), error.value, rule, error.shown) from None
    except UserError as error:
        raise UserError(renamed(error.given, argument)) from None


def argument(field: str) -> str:
    """What a setting is called in Python: as its flag is on the command line, but for a few."""
    name = "opt" if field == "train.optimizer" else field.removeprefix("--").replace("-", "_")
    return _OWN_NAMES.get(name, name)


def keywords() -> dict[str, tuple[str, str, Any]]:
    """Every setting's keyword, with its group, its field and its type."""
    found = {}
    for group, part in get_type_hints(SearchSettings).items():
        for name, hint in get_type_hints(part, include_extras=True).items():
            plain = get_args(hint)[0] if hasattr(hint, "__metadata__") else hint
            found[argument(user_input.flag(name, hint))] = (group, name, plain)
    return found


def settings(values: Mapping[str, Any], start: SearchSettings | None = None) -> SearchSettings:
    """Settings with what is given in place of what they were.

    Args:
        values: By keyword.
        start: What they were, the defaults if None.

    Raises:
        UserError: Naming the argument that is unknown, of another type or out of range.
    """
    start = start or SearchSettings()
    known = keywords()
    changed: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        if name not in known:
            raise UserError(unknown(name, known))
        group, field, hint = known[name]
        changed.setdefault(group, {})[field] = fitted(name, value, hint)
    with named():
        groups = {group: replace(getattr(start, group), **parts) for group, parts in changed.items()}
        return user_input.checked(replace(start, **groups))


def options(kind: type[T], values: Mapping[str, Any], **fixed: Any) -> T:
    """Makes a settings object of one group, as :func:`settings` does.

    Args:
        kind: Its class.
        values: By field.
        fixed: Fields that have been looked at.

    Raises:
        UserError: Naming the argument that is unknown, of another type or out of range.
    """
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind)]  # type: ignore[arg-type]
    parts = {}
    for name, value in values.items():
        if name not in names:
            raise UserError(unknown(name, names))
        parts[name] = fitted(name, value, hints[name])
    with named():
        return user_input.checked(kind(**parts, **fixed))


def unknown(name: str, known: Any) -> str:
    """Says that there is no such argument, and which may be meant."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"{name}: no such argument; " + (
        f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
    )


def fitted(name: str, value: Any, hint: Any) -> Any:
    """A value as its field has it: NumPy's numbers as Python's, paths as ``Path``, durations as text.

    Raises:
        UserError: If it is of another type.
    """
    if name in _DURATIONS and value is not None and not isinstance(value, str):
        value = _duration(name, value)
    elif name in _NUMBERS_AS_TEXT and isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    elif name in _COUNTS and isinstance(value, int | float) and not isinstance(value, bool):
        value = f"{value:.0f}"
    elif name in _UNITS and isinstance(value, int | float) and not isinstance(value, bool):
        value = f"{value}{_UNITS[name]}"
    elif name == "max_cost" and isinstance(value, Mapping):
        value = tuple(f"{cost}={most}" for cost, most in value.items())
    kinds = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
    for kind in kinds:
        with contextlib.suppress(TypeError, ValueError):
            return _as(kind, value)
    raise SettingError(name, value, f"must be {_in_words(kinds)}", repr(value))


def _as(kind: Any, value: Any) -> Any:
    """Raises TypeError or ValueError if the value is of another kind."""
    if get_origin(kind) is tuple:
        if isinstance(value, str):
            raise TypeError
        return tuple(_as(get_args(kind)[0], one) for one in value)
    if get_origin(kind) is Literal:
        return get_args(kind)[get_args(kind).index(value)]
    if kind is type(None) and value is None:
        return None
    item = getattr(value, "item", None)
    value = item() if callable(item) and getattr(value, "ndim", 1) == 0 else value  # NumPy's scalars
    if isinstance(value, bool) or kind is bool:
        if kind is bool and isinstance(value, bool):
            return value
    elif kind is int:
        return operator.index(value)
    elif kind is float and isinstance(value, int | float):
        return float(value)
    elif kind is str and isinstance(value, str):
        return value
    elif kind is Path:
        return Path(os.fspath(value))
    raise TypeError


def _in_words(kinds: tuple[Any, ...]) -> str:
    words: list[str] = []
    for kind in kinds:
        if get_origin(kind) is tuple:
            words.append("a list of texts")
        elif get_origin(kind) is Literal:
            words += [repr(choice) for choice in get_args(kind)]
        else:
            words.append(
                {type(None): "None", int: "a whole number", float: "a number", str: "text"}.get(kind, "")
            )
            words[-1] = words[-1] or {bool: "True or False", Path: "a path"}[kind]
    return " or ".join(words)


def _duration(name: str, value: Any) -> str:
    """Seconds or a timedelta as the text that settings hold."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not number or not math.isfinite(seconds) or seconds <= 0:
        rule = "must be text such as '72h' or '90m', seconds or a timedelta"
        raise SettingError(name, value, rule, repr(value))
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"
