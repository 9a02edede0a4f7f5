"""What a search space is: a ConfigSpace, its exact size, named points and a builder."""

from __future__ import annotations

import hashlib
import json
import math
import random
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from nas.util.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ConfigSpace import ConfigurationSpace
    from torch import nn

    from search_spaces.diagram import Part

Value = str | int | float | bool
Config = dict[str, Value]

_PLAIN = (str, int, float, bool)  # most values by far: they need no look at what else they might be
_NAME = re.compile(r"[^\W\d][\w.:-]{0,99}")
_LARGEST = 2**53  # JSON's readers keep integers exact up to here


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _unfit(value: Any) -> str:
    """Why a value does not come back from a run's files as it was, or "" if it does."""
    if type(value) not in _PLAIN:
        return f"is {type(value).__name__}; must be a str, int, float or bool of Python's own"
    if isinstance(value, float) and not math.isfinite(value):
        return "is not finite"
    if isinstance(value, int) and abs(value) > _LARGEST:
        return f"is too large; must lie within {_LARGEST:,}"
    if isinstance(value, str) and not (value and value.isprintable()):
        return "must be printable text"
    return ""


def plain(config: Mapping[str, Any]) -> Config:
    """Casts NumPy scalars (ConfigSpace hands them out) to Python's own, keys sorted."""
    return {
        key: value if type(value) in _PLAIN else getattr(value, "item", lambda v=value: v)()
        for key, value in sorted(config.items())
    }


def config_id(config: Mapping[str, Any]) -> str:
    """Names a configuration by a hash of its canonical JSON: 12 hexadecimal digits.

    NumPy and Python values of equal meaning give one name, which ``Configuration.__hash__`` does not.
    """
    return hashlib.sha256(_canonical(plain(config)).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Hyperparameter:
    """One choice a network offers.

    Attributes:
        name: Key in a configuration.
        choices: All values, in an order that makes sense: a random forest reads it as a scale.
        default: The base architecture's value.
        meaning: What it changes, for people.
        source: Where it comes from, for example a section of a paper.
        ordinal: Whether the order of the choices is that of a quantity, as of kernel sizes.
        synonyms: Choices that give the same function. They are kept apart all the same.
    """

    name: str
    choices: tuple[Value, ...]
    default: Value
    meaning: str
    source: str
    ordinal: bool = False
    synonyms: tuple[Value, ...] = ()

    def check(self) -> None:
        """Refuses what a run's files would not give back as it was; each is checked where a space is defined.

        Raises:
            UserError: Naming the hyperparameter and what is wrong with it.
        """
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise UserError(
                f"hyperparameter {self.name!r}: its name must be letters, digits, _-.:, a letter first"
            )
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
            raise UserError(f"hyperparameter {self.name}: choice {doubled[0]!r} is there twice")
        if type(self.default) not in kinds or self.default not in self.choices:
            raise UserError(f"hyperparameter {self.name}: default {self.default!r} is none of its choices")

    def canonical(self, value: Any) -> Value:
        """Gives the choice that equals a value in type and value.

        Raises:
            UserError: If there is none.
        """
        for choice in self.choices:
            if type(choice) is type(value) and choice == value:
                return choice
        listed = ", ".join(json.dumps(choice) for choice in self.choices)
        raise UserError(f"{self.name}: must be one of {listed}, got {value!r}")


# What a trial's row of a table holds besides its choices (analysis.frames): names no choice can have.
RESERVED = frozenset(
    {
        *("trial", "config_id", "epochs", "origin", "status", "error", "seconds", "attempts", "reason"),
        *("cached", "clock", "started", "ended", "top1", "top5", "val_loss", "train_loss", "params", "macs"),
        *("peak_memory", "train_seconds"),
    }
)


def check(hyperparameters: Mapping[str, Hyperparameter]) -> None:
    """Refuses hyperparameters that a run could not keep, resume or show.

    Raises:
        UserError: Naming the first, and what is wrong with it.
    """
    taken = sorted(RESERVED & set(hyperparameters))
    if taken:
        raise UserError(
            f"hyperparameter {taken[0]}: a trial has a figure of that name; call it something else, such "
            f"as network_{taken[0]}"
        )
    for key, hp in hyperparameters.items():
        hp.check()
        if hp.name != key:
            raise UserError(f"hyperparameter {hp.name}: stands under the key {key!r}; must be its name")


class Change(NamedTuple):
    """A hyperparameter in which a configuration differs from another one."""

    name: str
    base: Value
    value: Value


class SearchSpace(ABC):
    """A base architecture with the choices it offers and a builder.

    The space is flat: every combination of choices is a configuration. Conditions between
    hyperparameters would stop SMAC's local search (it rejects every neighbour of a configuration
    with an inactive hyperparameter), so let every choice say something about some layer instead.

    Attributes:
        name: What users type.
        title: One line for people.
        hyperparameters: The choices by name.
        presets: Named widths for :meth:`reduced`.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    hyperparameters: ClassVar[Mapping[str, Hyperparameter]]
    presets: ClassVar[Mapping[str, int]]

    def __init_subclass__(cls) -> None:
        """Checks the hyperparameters where they are the class's own.

        Raises:
            UserError: See :func:`check`.
        """
        super().__init_subclass__()
        if isinstance(found := getattr(cls, "hyperparameters", {}), Mapping):
            check(found)

    @property
    @abstractmethod
    def points(self) -> dict[str, Config]:
        """Configurations worth a name.

        The default is among them, and ``cheapest`` and ``dearest``, whose multiply-accumulates and
        parameters bound all others' within a per cent.
        """

    @abstractmethod
    def reduced(self, width: int, image_size: int = 32) -> Any:
        """Geometry of the small network that a search trains.

        Args:
            width: Scale of the channels; the presets' values or any other the space allows.
            image_size: Height and width of the images, pixels, at least 8.

        Raises:
            UserError: If one of them is out of range.
        """

    @abstractmethod
    def build(
        self,
        config: Mapping[str, Any],
        geometry: Any,
        num_classes: int,
        in_chans: int = 3,
        drop_path_rate: float = 0.0,
    ) -> nn.Module:
        """Builds the network of a configuration.

        Args:
            config: A configuration of this space.
            geometry: From :meth:`reduced`, or a full-size one of this architecture.
            num_classes: Width of the classifier.
            in_chans: Image channels.
            drop_path_rate: Probability with which a residual branch is dropped in training.

        Raises:
            UserError: If the configuration is not of this space.
        """

    @property
    def size(self) -> int:
        """Number of configurations, exactly."""
        return math.prod(len(hp.choices) for hp in self.hyperparameters.values())

    @property
    def default(self) -> Config:
        """The base architecture."""
        return plain({name: hp.default for name, hp in self.hyperparameters.items()})

    @property
    def fingerprint(self) -> str:
        """Names the choices and defaults by a hash: 12 hexadecimal digits.

        It changes whenever a run of the old space could not go on in the new one.
        """
        described = [[h.name, h.choices, h.default, h.ordinal] for h in self.hyperparameters.values()]
        return hashlib.sha256(_canonical([self.name, described]).encode()).hexdigest()[:12]

    def configspace(self, seed: int | None = None) -> ConfigurationSpace:
        """A fresh ConfigSpace object, seeded if wished."""
        from ConfigSpace import CategoricalHyperparameter, ConfigurationSpace, OrdinalHyperparameter

        space = ConfigurationSpace(name=self.name, seed=seed)
        for hp in self.hyperparameters.values():
            if hp.ordinal:
                space.add(OrdinalHyperparameter(hp.name, hp.choices, default_value=hp.default))
            else:
                space.add(CategoricalHyperparameter(hp.name, hp.choices, default_value=hp.default))
        return space

    def diagram(self, config: Mapping[str, Any], width: int, image_size: int) -> list[Part]:  # noqa: ARG002
        """The network of :meth:`reduced` as boxes from input to output; none: figures list its choices.

        Args:
            config: A configuration of this space.
            width: As :meth:`reduced` takes it; of old runs, it may be smaller than allowed now.
            image_size: Height and width of the images, pixels.
        """
        return []

    def validate(self, config: Any) -> Config:
        """Gives the canonical form of a configuration: plain Python values, keys sorted.

        Raises:
            UserError: Naming the first key that is missing, unknown or has no such choice.
        """
        if not hasattr(config, "keys"):
            raise UserError(
                f"configuration: must be an object with the keys {', '.join(self.hyperparameters)}"
            )
        values = plain(dict(config))
        for key in values:
            if key not in self.hyperparameters:
                raise UserError(
                    f"{key}: no such hyperparameter, {self.name} has {', '.join(self.hyperparameters)}"
                )
        for key in self.hyperparameters:
            if key not in values:
                raise UserError(f"{key}: missing in the configuration")
        return {key: self.hyperparameters[key].canonical(value) for key, value in values.items()}

    def enumerate(self) -> Iterator[Config]:
        """All configurations, the last hyperparameter changing fastest."""
        for values in product(*(hp.choices for hp in self.hyperparameters.values())):
            yield plain(dict(zip(self.hyperparameters, values, strict=True)))

    def sample(self, n: int, seed: int) -> list[Config]:
        """Draws distinct configurations, each with equal probability.

        A longer sample of the same seed begins with the shorter one.

        Args:
            n: How many; all there are if that is less.
            seed: Of the draw.
        """
        draw = random.Random(seed)
        ranks: dict[int, None] = {}
        while len(ranks) < min(n, self.size):
            ranks[draw.randrange(self.size)] = None
        return [self._at(rank) for rank in ranks]

    def changes(self, config: Mapping[str, Any], base: Mapping[str, Any] | None = None) -> list[Change]:
        """Where a configuration differs from another one, by default from the base architecture."""
        mine, other = self.validate(config), self.validate(self.default if base is None else base)
        return [Change(key, other[key], mine[key]) for key in self.hyperparameters if mine[key] != other[key]]

    def _at(self, rank: int) -> Config:
        values = {}
        for name, hp in reversed(list(self.hyperparameters.items())):
            rank, index = divmod(rank, len(hp.choices))
            values[name] = hp.choices[index]
        return plain(values)
