"""Hyperparameters of a space: a list of choices, integers in a range, or floats in a range."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from nas.util.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Value = str | int | float | bool
Config = dict[str, Value]

_PLAIN = (str, int, float, bool)  # the types of nearly all values, which need no further check
_NAME = re.compile(r"[^\W\d][\w.:-]{0,99}")
_LARGEST = 2**53  # JSON's readers keep integers exact up to here
_PLACES = 13  # decimals to which ConfigSpace rounds floats

# Other columns of a trial's row in tables (analysis.frames), which no hyperparameter may be named like.
RESERVED = frozenset(
    {
        *("trial", "config_id", "epochs", "origin", "status", "error", "seconds", "attempts", "reason"),
        *("cached", "clock", "started", "ended", "top1", "top5", "val_loss", "train_loss", "params", "macs"),
        *("peak_memory", "train_seconds", "replicate"),
    }
)


# Settings of the training recipe that may be hyperparameters, with their sensible ranges.
TRAINING: dict[str, tuple[float, float]] = {
    "lr": (1e-9, 1e3),
    "weight_decay": (0.0, 1.0),
    "momentum": (0.0, 0.999),
    "warmup_epochs": (0.0, 1e3),
    "smoothing": (0.0, 0.9),
    "mixup": (0.0, 100.0),
    "cutmix": (0.0, 100.0),
    "crop": (0.0, 0.5),
    "drop_path_rate": (0.0, 0.9),
    "clip_grad": (0.0, 1e6),
}


def plain(config: Mapping[str, Any]) -> Config:
    """Converts NumPy scalars, as ConfigSpace returns them, to Python's types; sorts the keys."""
    return {
        key: value if type(value) in _PLAIN else getattr(value, "item", lambda v=value: v)()
        for key, value in sorted(config.items())
    }


class Change(NamedTuple):
    """A hyperparameter in which a configuration differs from another one; None where it is inactive."""

    name: str
    base: Value | None
    value: Value | None


def differences(config: Mapping[str, Any], base: Mapping[str, Any]) -> list[Change]:
    """Returns the differences between two configurations."""
    names = [*config, *(name for name in base if name not in config)]
    pairs = [(name, base.get(name), config.get(name)) for name in names]
    return [Change(name, before, after) for name, before, after in pairs if before != after]


def _unfit(value: Any) -> str:
    """Says why a value cannot be stored in a run's files without change; "" if it can."""
    if type(value) not in _PLAIN:
        return f"is {type(value).__name__}; must be a str, int, float or bool of Python's own"
    if isinstance(value, float) and not math.isfinite(value):
        return "is not finite"
    if isinstance(value, int) and abs(value) > _LARGEST:
        return f"is too large; must lie within {_LARGEST:,}"
    if isinstance(value, str) and not (value and value.isprintable()):
        return "must be printable text"
    return ""


def _check_words(name: Any, *words: Any) -> None:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UserError(f"hyperparameter {name!r}: its name must be letters, digits, _-.:, a letter first")
    if not all(isinstance(text, str) for text in words):
        raise UserError(f"hyperparameter {name}: its meaning and source must be text")


@dataclass(frozen=True)
class Hyperparameter:
    """One choice of a network.

    Attributes:
        name: Key in a configuration.
        choices: All values, in a sensible order, which a random forest reads as a scale.
        default: The base architecture's value.
        meaning: Description of what it changes.
        source: Its source, for example a section of a paper.
        ordinal: Whether the choices are in the order of a quantity, such as kernel sizes.
        synonyms: Choices that give the same function, although they count as different.
    """

    name: str
    choices: tuple[Value, ...]
    default: Value
    meaning: str = ""
    source: str = ""
    ordinal: bool = False
    synonyms: tuple[Value, ...] = ()

    @property
    def size(self) -> int | float:
        """Number of values."""
        return len(self.choices)

    @property
    def words(self) -> str:
        """Its values, formatted for people."""
        return " ".join(str(c).lower() if isinstance(c, bool) else str(c) for c in self.choices)

    def check(self) -> None:
        """Refuses values that a run's files cannot store without change; called where a space is defined.

        Raises:
            UserError: If anything is wrong; it names the hyperparameter and the fault.
        """
        _check_words(self.name, self.meaning, self.source)
        if not isinstance(self.choices, (tuple, list)) or not self.choices:
            raise UserError(f"hyperparameter {self.name}: must have choices, as a tuple")
        for choice in self.choices:
            if problem := _unfit(choice):
                raise UserError(f"hyperparameter {self.name}: choice {choice!r} {problem}")
        kinds = {type(choice): choice for choice in reversed(self.choices)}
        if len(kinds) > 1:
            listed = ", ".join(f"{choice!r} is {kind.__name__}" for kind, choice in kinds.items())
            raise UserError(f"hyperparameter {self.name}: choices must be of one type ({listed})")
        doubled = [choice for choice in self.choices if self.choices.count(choice) > 1]
        if doubled:
            raise UserError(f"hyperparameter {self.name}: choice {doubled[0]!r} occurs twice")
        if type(self.default) not in kinds or self.default not in self.choices:
            raise UserError(f"hyperparameter {self.name}: default {self.default!r} is not one of its choices")

    def canonical(self, value: Any) -> Value:
        """Returns the choice that equals a value in type and value.

        Raises:
            UserError: If there is none.
        """
        for choice in self.choices:
            if type(choice) is type(value) and choice == value:
                return choice
        listed = ", ".join(json.dumps(choice) for choice in self.choices)
        raise UserError(f"{self.name}: must be one of {listed}, got {value!r}")

    def identity(self) -> list[Any]:
        """Returns the parts that a run depends on, for the space's fingerprint."""
        return [self.name, self.choices, self.default, self.ordinal]


@dataclass(frozen=True)
class _Range:
    """Numbers from ``lower`` to ``upper``, both included.

    Attributes:
        name: Key in a configuration.
        lower: Least value.
        upper: Greatest value.
        default: The base architecture's value.
        meaning: What it changes, for people.
        source: Where it comes from, for example a section of a paper.
        log: Whether the scale is logarithmic, as for learning rates.
        synonyms: None, as no two numbers are the same.
    """

    name: str
    lower: float
    upper: float
    default: float
    meaning: str = ""
    source: str = ""
    log: bool = False

    choices: ClassVar[tuple[Value, ...]] = ()
    ordinal: ClassVar[bool] = True
    synonyms: ClassVar[tuple[Value, ...]] = ()

    @property
    def words(self) -> str:
        """Its values, formatted for people."""
        return f"{self.lower} to {self.upper}{', log' if self.log else ''}"

    def check(self) -> None:
        """Refuses what a run's files would not give back as it was.

        Raises:
            UserError: If anything is wrong; it names the hyperparameter and the fault.
        """
        _check_words(self.name, self.meaning, self.source)
        for name, value in (("lower", self.lower), ("upper", self.upper), ("default", self.default)):
            if problem := _unfit(value) or self._foreign(value):
                raise UserError(f"hyperparameter {self.name}: {name} {value!r} {problem}")
        if not self.lower < self.upper:
            raise UserError(
                f"hyperparameter {self.name}: lower {self.lower} must be below upper {self.upper}"
            )
        if not self.lower <= self.default <= self.upper:
            raise UserError(f"hyperparameter {self.name}: default {self.default} is not within {self.words}")
        if self.log and self.lower <= 0:
            raise UserError(f"hyperparameter {self.name}: lower {self.lower} must be above 0 on a log scale")

    def _foreign(self, value: Any) -> str:
        """Why a value is of another kind, or "" if it is not."""
        raise NotImplementedError

    def identity(self) -> list[Any]:
        """Returns the parts that a run depends on, for the space's fingerprint."""
        return [self.name, type(self).__name__, self.lower, self.upper, self.default, self.log]


@dataclass(frozen=True)
class Integer(_Range):
    """Whole numbers in a range, such as a stage's depth: ``Integer("depth", 1, 8, default=3)``."""

    lower: int
    upper: int
    default: int

    @property
    def size(self) -> int | float:
        """Number of values."""
        return self.upper - self.lower + 1

    def canonical(self, value: Any) -> Value:
        """Returns the value if it is in the range.

        Raises:
            UserError: If it is not.
        """
        if type(value) is not int or not self.lower <= value <= self.upper:
            raise UserError(
                f"{self.name}: must be a whole number from {self.lower} to {self.upper}, got {value!r}"
            )
        return value

    def _foreign(self, value: Any) -> str:
        return "" if type(value) is int else "must be a whole number"


@dataclass(frozen=True)
class Float(_Range):
    """Any numbers in a range: ``Float("lr", 1e-4, 1e-1, default=1e-2, log=True)``."""

    @property
    def size(self) -> int | float:
        """Number of values: infinite."""
        return math.inf

    def canonical(self, value: Any) -> Value:
        """Returns the value as a float if it is in the range.

        Raises:
            UserError: If it is not.
        """
        if type(value) not in (int, float) or not self.lower <= value <= self.upper:
            raise UserError(f"{self.name}: must be a number from {self.lower} to {self.upper}, got {value!r}")
        return float(value)

    def check(self) -> None:
        """Checks the range; also refuses bounds that ConfigSpace would round."""
        super().check()
        for name, value in (("lower", self.lower), ("upper", self.upper), ("default", self.default)):
            if round(value, _PLACES) != value:
                raise UserError(
                    f"hyperparameter {self.name}: {name} {value!r} has more than {_PLACES} decimals, which "
                    "ConfigSpace rounds off; scale it where the network is built"
                )

    def identity(self) -> list[Any]:
        """Returns the parts that a run depends on; ``1`` and ``1.0`` are the same bound."""
        bounds = [float(value) for value in (self.lower, self.upper, self.default)]
        return [self.name, type(self).__name__, *bounds, self.log]

    def _foreign(self, value: Any) -> str:
        return "" if type(value) in (int, float) else "must be a number"


Parameter = Hyperparameter | Integer | Float


def check(hyperparameters: Mapping[str, Parameter]) -> None:
    """Refuses hyperparameters that a run could not store, resume or show.

    Raises:
        UserError: If there are any; it names the first one and its fault.
    """
    taken = sorted(RESERVED & set(hyperparameters))
    if taken:
        raise UserError(
            f"hyperparameter {taken[0]}: a trial has a figure of that name; call it something else, such "
            f"as network_{taken[0]}"
        )
    for key, hp in hyperparameters.items():
        if not isinstance(hp, Hyperparameter | Integer | Float):
            raise UserError(
                f"hyperparameter {key}: is {type(hp).__name__}; must be a Hyperparameter, Integer or Float"
            )
        hp.check()
        if hp.name != key:
            raise UserError(f"hyperparameter {hp.name}: has the key {key!r}; must be its name")


def values_of(hp: Parameter) -> Sequence[Value]:
    """Returns all values of a hyperparameter with finitely many."""
    return range(hp.lower, hp.upper + 1) if isinstance(hp, Integer) else hp.choices


def by_name(hyperparameters: Sequence[Parameter]) -> dict[str, Parameter]:
    """Converts a sequence of hyperparameters to a mapping by name.

    Raises:
        UserError: If a name occurs twice.
    """
    found: dict[str, Parameter] = {}
    for hp in hyperparameters:
        name = getattr(hp, "name", None)
        if name in found:
            raise UserError(f"hyperparameter {name}: occurs twice")
        found[str(name)] = hp
    return found
