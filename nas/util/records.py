"""Frozen dataclasses as JSON objects: one declaration serves writing, checking and reading.

A field without a default is required and always written; one with a default may be missing, and is not
written if it has its default. Unknown keys, for example of a later version, are kept in ``extra``.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T", bound="Record")

_NUMBERS = {int, float, bool, types.NoneType}  # JSON has no NaN: it says null
_KINDS = 64  # most kinds of objects remembered per record, since a foreign file may have any number
_Inner = Callable[[Any, str], Any]


@dataclass(frozen=True, slots=True)
class Record:
    """Base class of records.

    Attributes:
        extra: Keys that this program does not know, with their values; None where there are none.
    """

    extra: Mapping[str, Any] | None = field(default=None, kw_only=True, repr=False)


@dataclass(frozen=True, slots=True)
class Document(Record):
    """A record that is a file or part of one, which is written back byte for byte, whatever version wrote it.

    Attributes:
        order: Its keys in the order read; empty for a record built here.
    """

    order: tuple[str, ...] = field(default=(), kw_only=True, repr=False, compare=False)


@dataclass(frozen=True)
class _Shape:
    """The fields of a record.

    Attributes:
        checks: By name, the types of the JSON value and a check of a container's content.
        defaults: Defaults of fields that may be missing.
        keeps_order: Whether the order of keys is kept.
        known: How to make a record of objects already found valid, by their keys and the types of their
            values, since a journal has many lines of few kinds.
    """

    checks: tuple[tuple[str, tuple[type, ...], _Inner | None], ...]
    defaults: dict[str, Any]
    keeps_order: bool
    known: dict[tuple[Any, ...], _Known] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Known:
    """How to make a record without its constructor, which takes most of the time of reading a journal.

    Attributes:
        inners: What is left to look into, by name.
        setters: Setters of the slots, those of the object's keys first.
        defaults: Defaults of the keys that it does not have.
    """

    inners: tuple[tuple[str, _Inner], ...]
    setters: tuple[Callable[[Any, Any], None], ...]
    defaults: tuple[Any, ...]

    @classmethod
    def of(cls, record: type[Record], shape: _Shape, values: dict[str, Any]) -> _Known:
        """How objects with these keys and types are made."""
        inners = [(name, inner) for name, _, inner in shape.checks if inner and values.get(name) is not None]
        missing = {name: default for name, default in shape.defaults.items() if name not in values}
        setters = [getattr(record, name).__set__ for name in (*values, *missing, "extra")]
        return cls(tuple(inners), tuple(setters), (*missing.values(), None))


def read(cls: type[T], values: dict[str, Any], at: str = "") -> T:
    """Builds a record from a JSON object.

    Args:
        cls: The record's class.
        values: The object.
        at: Its position, for messages: ``"limits."``.

    Raises:
        ValueError: If a key is missing or has the wrong type; it names the key.
    """
    shape = _shape(cast("Any", cls))
    kind = (tuple(values), tuple(map(type, values.values())))
    known = shape.known.get(kind)
    if known is None:
        return _checked(cls, shape, kind, values, at)
    for name, inner in known.inners:
        value = values[name]
        looked = inner(value, f"{at}{name}")
        if looked is not value:
            values = {**values, name: looked}
    made = object.__new__(cls)
    for put, value in zip(known.setters, (*values.values(), *known.defaults), strict=True):
        put(made, value)
    return made


def _checked(cls: type[T], shape: _Shape, kind: tuple[Any, ...], values: dict[str, Any], at: str) -> T:
    """Makes a record of an object of a kind that was not seen before."""
    found: dict[str, Any] = {}
    for name, kinds, inner in shape.checks:
        if name in values:
            value = values[name]
            if not isinstance(value, kinds):
                raise ValueError(
                    f"{at}{name}: {'must be an object' if kinds == (dict,) else 'of a wrong kind'}"
                )
            found[name] = value if inner is None or value is None else inner(value, f"{at}{name}")
        elif name not in shape.defaults:
            raise ValueError(f"{at}{name}: missing")
    if len(found) < len(values):
        found["extra"] = {key: value for key, value in values.items() if key not in found}
    if shape.keeps_order:
        found["order"] = tuple(values)
    elif len(shape.known) < _KINDS and "extra" not in found:
        shape.known[kind] = _Known.of(cls, shape, values)
    return cls(**found)


def write(record: Record) -> dict[str, Any]:
    """Converts a record to a JSON object, with keys in the order of its fields or as read."""
    shape = _shape(cast("Any", type(record)))
    order = record.order if isinstance(record, Document) else ()
    found = {name: getattr(record, name) for name, _, _ in shape.checks}
    values = {
        name: _plain(value)
        for name, value in found.items()
        if name not in shape.defaults or value != shape.defaults[name] or name in order
    }
    if record.extra:
        values.update(record.extra)
    return {**{name: values[name] for name in order if name in values}, **values} if order else values


def _plain(value: Any) -> Any:
    if isinstance(value, Record):
        return write(value)
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


@functools.cache
def _shape(cls: Any) -> _Shape:
    hints = get_type_hints(cls)
    own = [one for one in fields(cls) if one.name not in ("extra", "order")]
    defaults = {one.name: one.default for one in own if one.default is not MISSING}
    return _Shape(
        tuple((one.name, *_check(hints[one.name])) for one in own), defaults, issubclass(cls, Document)
    )


def _check(hint: Any) -> tuple[tuple[type, ...], _Inner | None]:
    """Returns the JSON types that a type hint allows, and a check of a container's content."""
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any:
        return (object,), None
    if origin in (Union, types.UnionType):
        parts = [_check(arg) for arg in args]
        inner = next((found for _, found in parts if found is not None), None)
        return tuple(kind for kinds, _ in parts for kind in kinds), inner
    if origin is dict:
        return (dict,), {float: _numbers, str: _texts}.get(args[1])
    if origin is list:
        return (list,), None if args[0] is Any else functools.partial(_items, _check(args[0]))
    if issubclass(hint, Record):
        return (dict,), lambda value, at: read(hint, value, f"{at}.")
    return ((int, float) if hint is float else (hint,)), None


def _numbers(values: dict[str, Any], at: str) -> dict[str, Any]:
    if not _NUMBERS.issuperset(map(type, values.values())):
        raise ValueError(f"{at}: must be numbers")
    return values


def _texts(values: dict[str, Any], at: str) -> dict[str, Any]:
    if not all(isinstance(value, str) for value in values.values()):
        raise ValueError(f"{at}: must be texts")
    return values


def _items(check: tuple[tuple[type, ...], _Inner | None], values: list[Any], at: str) -> list[Any]:
    kinds, inner = check
    if not all(isinstance(value, kinds) for value in values):
        raise ValueError(f"{at}: of a wrong kind")
    return values if inner is None else [value if value is None else inner(value, at) for value in values]
