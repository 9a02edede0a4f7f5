"""Keyword arguments for settings: their fields, types, and errors that name them."""

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
_WORDS: dict[str, Any] = {"min_epochs": Literal["auto"]}  # that stand for a number
_OWN_NAMES = {"dataset": "data", "resume": "nas.resume_search"}  # setting -> its name in Python


@contextlib.contextmanager
def named() -> Iterator[None]:
    """Makes errors of the code inside the block name Python's arguments instead of settings.

    Raises:
        UserError: The error raised inside, in terms of Python's arguments.
    """
    try:
        yield
    except SettingError as error:
        rule = renamed(error.rule, argument)
        raise SettingError(argument(error.field), error.value, rule, error.shown) from None
    except UserError as error:
        raise UserError(renamed(error.given, argument)) from None


def argument(field: str) -> str:
    """Returns the name of a setting in Python: that of its flag, with a few exceptions."""
    name = "opt" if field == "train.optimizer" else field.removeprefix("--").replace("-", "_")
    return _OWN_NAMES.get(name, name)


def keywords() -> dict[str, tuple[str, str, Any]]:
    """Returns the keyword of every setting, with its group, field and type."""
    found = {}
    for group, part in get_type_hints(SearchSettings).items():
        for name, hint in get_type_hints(part, include_extras=True).items():
            plain = get_args(hint)[0] if hasattr(hint, "__metadata__") else hint
            found[argument(user_input.flag(name, hint))] = (group, name, plain)
    return found


def settings(values: Mapping[str, Any], start: SearchSettings | None = None) -> SearchSettings:
    """Replaces settings by the given values.

    Args:
        values: Values by keyword.
        start: The settings to change, the defaults if None.

    Raises:
        UserError: If an argument is unknown, of the wrong type or out of range; it names the argument.
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
    """Builds a settings object of one group, like :func:`settings`.

    Args:
        kind: Class of the object.
        values: Values by field.
        fixed: Further values, already checked.

    Raises:
        UserError: If an argument is unknown, of the wrong type or out of range; it names the argument.
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
    """Returns a message that there is no such argument, with a suggestion."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"{name}: no such argument; " + (
        f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
    )


def fitted(name: str, value: Any, hint: Any) -> Any:
    """Converts a value to its field's type: NumPy's numbers to Python's, durations to text, and so on.

    Raises:
        UserError: If it has the wrong type.
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
    if name in _WORDS:
        kinds = (*kinds, _WORDS[name])
    for kind in kinds:
        with contextlib.suppress(TypeError, ValueError):
            return _as(kind, value)
    raise SettingError(name, value, f"must be {_in_words(kinds)}", repr(value))


def _as(kind: Any, value: Any) -> Any:
    """Converts a value; raises TypeError or ValueError if that is impossible."""
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
    """Converts seconds or a timedelta to the text that settings hold."""
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not number or not math.isfinite(seconds) or seconds <= 0:
        rule = "must be text such as '72h' or '90m', seconds or a timedelta"
        raise SettingError(name, value, rule, repr(value))
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"
