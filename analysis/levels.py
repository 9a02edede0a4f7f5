"""Hyperparameters in the form of forests and figures, with finitely many levels.

Choices are levels as they are. A range of numbers is cut into parts of equal width, on its own scale (a
logarithmic one where the hyperparameter has one), so that each level is as likely as another if nothing is
known. Inactive is a level of its own, the last.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from search_spaces.base import Hyperparameter, Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    import pandas as pd

INACTIVE = "inactive"
_PARTS = 8
_MOST_EACH = 12  # ranges of up to this many integers have a level for each


@dataclass(frozen=True)
class Levels(Hyperparameter):
    """A hyperparameter whose choices are levels.

    Attributes:
        edges: Edges between the parts of a range, ascending; empty if each choice is a value.
        optional: Whether it may be inactive; the last choice then stands for that.
        range: Description of its values by its definition.
    """

    edges: tuple[float, ...] = ()
    optional: bool = False
    range: str = ""


def codes(hp: Hyperparameter, values: pd.Series) -> np.ndarray:
    """Returns the level of each value by number, ``(N,)``; a missing value is inactive."""
    listed = values.tolist()
    if not isinstance(hp, Levels):
        code = {choice: place for place, choice in enumerate(hp.choices)}
        return np.fromiter(map(code.__getitem__, listed), np.int64, len(listed))
    return np.fromiter((_code(hp, value) for value in listed), np.int64, len(listed))


def _code(hp: Levels, value: Any) -> int:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        if not hp.optional:
            raise KeyError(hp.name)
        return len(hp.choices) - 1
    if hp.edges:
        return int(np.searchsorted(hp.edges, value, side="right"))
    return hp.choices.index(value)


def active(hp: Hyperparameter) -> int:
    """Number of levels at which it is active; these come first."""
    return len(hp.choices) - int(optional(hp))


def shown(value: Any) -> str:
    """Formats a value for figures and tables."""
    if value is None:
        return INACTIVE
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def plainly(value: Any) -> Any:
    """Returns a value unchanged, or words for special ones."""
    return shown(value) if value is None or isinstance(value, float) else value


def of(space: Mapping[str, Any]) -> dict[str, Hyperparameter]:
    """Returns the hyperparameters of a space by name.

    Args:
        space: The space in ConfigSpace's JSON format.

    Raises:
        KeyError, TypeError, ValueError: If it is not a space.
    """
    children = {condition["child"] for condition in _conditions(space.get("conditions", ()))}
    return {hp["name"]: _read(hp, hp["name"] in children) for hp in space["hyperparameters"]}


def flat(space: Mapping[str, Any]) -> bool:
    """Whether a space has only choices without conditions and clauses."""
    ruled = space.get("conditions") or space.get("forbiddens")
    return not ruled and all(not hp["type"].startswith("uniform") for hp in space["hyperparameters"])


def discrete(space: Mapping[str, Any], found: Mapping[str, Hyperparameter]) -> dict[str, Any]:
    """Returns the JSON of a space of levels, without conditions and clauses; inactive is a level."""
    listed = [_choice(hp, named({name: hp.default}, {name: hp})[name]) for name, hp in found.items()]
    return {**space, "hyperparameters": listed, "conditions": [], "forbiddens": []}


def _choice(hp: Hyperparameter, default: Value) -> dict[str, Any]:
    """Returns a hyperparameter of levels in ConfigSpace's format; a constant remains one."""
    if len(hp.choices) == 1:
        return {"type": "constant", "name": hp.name, "value": hp.choices[0], "meta": None}
    choices = {"choices": list(hp.choices), "weights": None, "default_value": default}
    return {"type": "categorical", "name": hp.name, **choices, "meta": None}


def named(config: Mapping[str, Any], found: Mapping[str, Hyperparameter]) -> dict[str, Any]:
    """Converts a configuration to levels."""
    return {
        name: hp.choices[_code(hp, config.get(name))] if isinstance(hp, Levels) else config[name]
        for name, hp in found.items()
    }


def optional(hp: Hyperparameter) -> bool:
    """Whether a hyperparameter may be inactive."""
    return isinstance(hp, Levels) and hp.optional


def _conditions(listed: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Yields conditions, including those inside conjunctions."""
    for condition in listed:
        if "conditions" in condition:
            yield from _conditions(condition["conditions"])
        else:
            yield condition


def _read(hp: Mapping[str, Any], optional: bool) -> Hyperparameter:
    """Reads a hyperparameter from ConfigSpace's JSON.

    Args:
        hp: The hyperparameter in ConfigSpace's format.
        optional: Whether a condition may make it inactive.

    Raises:
        KeyError: If it is of an unsupported kind.
    """
    name, kind, meta = hp["name"], hp["type"], hp.get("meta") or {}
    words: dict[str, Any] = {"meaning": str(meta.get("meaning", "")), "source": str(meta.get("source", ""))}
    edges: tuple[float, ...] = ()
    if kind in ("uniform_int", "uniform_float"):
        lower, upper, log = hp["lower"], hp["upper"], hp["log"]
        choices, edges = _parts(lower, upper, log, whole=kind == "uniform_int")
        spread = f"{shown(lower)} to {shown(upper)}{', log' if log else ''}"
        ordinal, default = True, hp["default_value"]
    else:
        key = {"categorical": "choices", "ordinal": "sequence", "constant": "value"}[kind]
        choices = (hp[key],) if kind == "constant" else tuple(hp[key])
        ordinal, default, spread = kind == "ordinal", hp.get("default_value", choices[0]), ""
    if optional:
        choices = (*choices, INACTIVE)
    elif not edges and not spread:
        return Hyperparameter(name, choices, default, **words, ordinal=ordinal)
    return Levels(
        name, choices, default, **words, ordinal=ordinal, edges=edges, optional=optional, range=spread
    )


def _parts(
    lower: float, upper: float, log: bool, *, whole: bool
) -> tuple[tuple[Value, ...], tuple[float, ...]]:
    """Returns the levels of a range and the edges between them."""
    if whole and upper - lower < _MOST_EACH:
        return tuple(range(int(lower), int(upper) + 1)), ()
    ends = np.geomspace(lower, upper, _PARTS + 1) if log else np.linspace(lower, upper, _PARTS + 1)
    if whole:
        ends = np.unique(np.ceil(ends - 1e-9))
        ends[0], ends[-1] = lower, upper + 1
        labels = [
            f"{low:.0f}–{high - 1:.0f}" if high - low > 1 else f"{low:.0f}" for low, high in pairwise(ends)
        ]
    else:
        labels = [f"{low:.3g}–{high:.3g}" for low, high in pairwise(ends)]
    return tuple(labels), tuple(float(edge) for edge in ends[1:-1])
