"""What a search space is: a ConfigSpace, its exact size, named points and a builder."""

from __future__ import annotations

import hashlib
import inspect
import json
import math
import random
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from nas.util.errors import SettingError, UserError
from search_spaces.hyperparameters import (
    RESERVED,
    Change,
    Config,
    Float,
    Hyperparameter,
    Integer,
    Parameter,
    Value,
    by_name,
    check,
    differences,
    plain,
    values_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ConfigSpace import ConfigurationSpace
    from torch import nn

    from search_spaces.diagram import Part
    from search_spaces.exporting import Exporting
    from search_spaces.rules import Rules

__all__ = [
    "RESERVED",
    "Change",
    "Config",
    "Float",
    "Hyperparameter",
    "Integer",
    "Parameter",
    "Reduced",
    "SearchSpace",
    "Value",
    "check",
    "config_id",
    "plain",
]


_FEW = 4096  # configurations that are listed to draw from them, where rules say which there are
_OFFERED = ("config", "num_classes", "in_chans", "image_size", "geometry", "width", "drop_path_rate")


# Names of points that stand for the ends of cost; earlier versions called the second one "dearest".
COST_ENDS = {"cheapest": "cheapest", "dearest": "costliest", "costliest": "costliest"}


def cost_ends(points: Mapping[str, Config]) -> dict[str, Config]:
    """Returns those of a space's points that are named for their cost, as ``cheapest`` and ``costliest``."""
    return {COST_ENDS[name]: config for name, config in points.items() if name in COST_ENDS}


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def config_id(config: Mapping[str, Any]) -> str:
    """Names a configuration by a hash of its canonical JSON: 12 hexadecimal digits.

    NumPy and Python values of equal meaning give one name, which ``Configuration.__hash__`` does not.
    """
    return hashlib.sha256(_canonical(plain(config)).encode()).hexdigest()[:12]


class Reduced(NamedTuple):
    """The small network that a search trains, for a space that has no geometries of its own."""

    width: int
    image_size: int


class SearchSpace(ABC):
    """A base architecture with the choices it offers and a builder.

    The least is what can be chosen and how it is built::

        class Mine(SearchSpace):
            "A stack of convolutions."

            hyperparameters = (
                Hyperparameter("kernel", (3, 5, 7), default=3, ordinal=True),
                Integer("depth", 1, 6, default=2),
                Float("dropout", 0.0, 0.5, default=0.1),
            )

            def build(self, config, num_classes, in_chans, image_size):
                return nn.Sequential(...)  # (B, in_chans, image_size, image_size) to (B, num_classes)

    In place of ``hyperparameters`` it may have ``space``, any ``ConfigSpace.ConfigurationSpace``, with
    conditions and forbidden clauses. A configuration then holds the active hyperparameters only. All else
    is optional: what stands below is what a space has that says nothing.

    Attributes:
        name: What users type (the class's name in small letters).
        title: One line for people (the first line of the class's docstring).
        hyperparameters: The choices, as a sequence or by name.
        space: The same as a ConfigSpace; ``meta={"meaning": ..., "source": ...}`` are words for people.
        presets: Named widths for :meth:`reduced`; none: the network has one width.
        full_sizes: Named geometries that :meth:`build` takes, of networks in papers for example.
        training: Hyperparameters that go to the training recipe and are called as its setting is:
            ``lr``, ``weight_decay``, ``smoothing``, ``mixup``, ``cutmix``, ``drop_path_rate``, ...
        costs: Costs of your own that a search can minimise, by name: functions of a configuration and a
            geometry, as :meth:`build` takes them, that give a number above zero, the less the better.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    hyperparameters: ClassVar[Any]  # a mapping once the class is there
    space: ClassVar[Any] = None
    presets: ClassVar[Mapping[str, int]] = {}
    full_sizes: ClassVar[Mapping[str, Any]] = {}
    training: ClassVar[Sequence[str]] = ()
    costs: ClassVar[Mapping[str, Callable[[Config, Any], float]]] = {}

    def __init_subclass__(cls) -> None:
        """Gives what the class does not say, and checks its hyperparameters where they are its own.

        Raises:
            UserError: See :func:`check`.
        """
        super().__init_subclass__()
        own = vars(cls)
        if "name" not in own:
            cls.name = cls.__name__.lower()
        if "title" not in own:
            cls.title = (inspect.cleandoc(cls.__doc__ or "") or cls.__name__).splitlines()[0]
        if own.get("space") is not None:
            from search_spaces.configspaces import read

            if "hyperparameters" in own:
                raise UserError(f"{cls.__name__}: has hyperparameters and a space; must have one of them")
            cls.hyperparameters = read(cls.space)
        found = getattr(cls, "hyperparameters", {})
        if isinstance(found, tuple | list):
            found = cls.hyperparameters = by_name(found)
        if isinstance(found, Mapping):
            check(found)

    @property
    def points(self) -> dict[str, Config]:
        """Configurations worth a name.

        A search tries them first, except ``cheapest`` and ``costliest`` (or ``dearest``, as earlier versions
        called it). Their multiply-accumulates and parameters should bound all others' within one per cent:
        a plan is measured on them. Where they are not named, :mod:`search_spaces.ends` looks for them.
        """
        return {"default": self.default}

    def reduced(self, width: int, image_size: int = 32) -> Any:
        """Geometry of the small network that a search trains.

        Args:
            width: Scale of the channels; the presets' values or any other the space allows.
            image_size: Height and width of the images, pixels, at least 8.

        Raises:
            UserError: If one of them is out of range.
        """
        if not self.presets and width:
            raise SettingError("width", width, f"{self.name} has no widths to choose from; leave it out")
        if width < 0:
            raise SettingError("width", width, "must be at least 1")
        return Reduced(width, image_size)

    @abstractmethod
    def build(self, *args: Any, **kwargs: Any) -> nn.Module:
        """Builds the network of a configuration, which takes images ``(B, C, H, W)`` to ``(B, num_classes)``.

        A space's own method names what it needs, out of these:

        Args:
            config: A configuration of this space, checked.
            num_classes: Width of the classifier.
            in_chans: Image channels.
            image_size: Height and width of the images, pixels.
            geometry: From :meth:`reduced`, or one of ``full_sizes``.
            width: Scale of the channels that was asked for.
            drop_path_rate: Probability with which a residual branch is dropped in training.

        Raises:
            UserError: If the configuration is not of this space.
        """

    def network(
        self,
        config: Mapping[str, Any],
        geometry: Any,
        num_classes: int,
        in_chans: int = 3,
        drop_path_rate: float = 0.0,
    ) -> nn.Module:
        """Builds a network: gives :meth:`build` what it asks for.

        Raises:
            UserError: If the configuration is not of this space, or ``build`` asks for something else.
            TypeError: If no module comes back.
        """
        from torch import nn

        offered = {
            "config": self.validate(config),
            "num_classes": num_classes,
            "in_chans": in_chans,
            "image_size": getattr(geometry, "image_size", None),
            "geometry": geometry,
            "width": getattr(geometry, "width", None),
            "drop_path_rate": drop_path_rate,
        }
        built = self.build(**{name: offered[name] for name in self.asked})
        if not isinstance(built, nn.Module):
            raise TypeError(f"build of {self.name} gave {type(built).__name__}; must give a torch.nn.Module")
        return built

    @cached_property
    def asked(self) -> tuple[str, ...]:
        """What :meth:`build` asks for by name.

        Raises:
            UserError: If it is something that is not there to be had.
        """
        parameters = inspect.signature(self.build).parameters.values()
        if any(one.kind is one.VAR_KEYWORD for one in parameters):
            return _OFFERED
        for one in parameters:
            if one.name not in _OFFERED and one.default is one.empty:
                raise UserError(f"build asks for {one.name}; there are {', '.join(_OFFERED)}")
        return tuple(one.name for one in parameters if one.name in _OFFERED)

    def usual_width(self, *, gpu: bool) -> int:
        """The width that ``--width auto`` means: ``paper`` on a GPU, ``tiny`` elsewhere, if there are such.

        Otherwise the last of the presets or the first; 0 for a space without.
        """
        if not self.presets:
            return 0
        widths = [*self.presets.values()]
        return self.presets.get("paper", widths[-1]) if gpu else self.presets.get("tiny", widths[0])

    @cached_property
    def rules(self) -> Rules | None:
        """Conditions and forbidden clauses; None for a space without."""
        if self.space is None or not (self.space.conditions or self.space.forbidden_clauses):
            return None
        from search_spaces.rules import Rules

        return Rules(self.configspace())

    @cached_property
    def size(self) -> int | float:
        """Number of configurations, exactly; infinite with a float among the hyperparameters."""
        if self.rules is not None:
            return self.rules.count()
        return math.prod(hp.size for hp in self.hyperparameters.values())

    @property
    def default(self) -> Config:
        """The base architecture."""
        if self.rules is not None:
            return plain(dict(self.configspace().get_default_configuration()))
        return plain({name: hp.default for name, hp in self.hyperparameters.items()})

    @property
    def fingerprint(self) -> str:
        """Names the choices and defaults by a hash: 12 hexadecimal digits.

        It changes whenever a run of the old space could not go on in the new one.
        """
        described: list[Any] = [self.name, [hp.identity() for hp in self.hyperparameters.values()]]
        if self.rules is not None:
            written = self.configspace().to_serialized_dict()
            described += [written["conditions"], written["forbiddens"]]
        if self.training:
            described.append(list(self.training))
        return hashlib.sha256(_canonical(described).encode()).hexdigest()[:12]

    def configspace(self, seed: int | None = None) -> ConfigurationSpace:
        """A fresh ConfigSpace object, seeded if wished."""
        from search_spaces.configspaces import copied, write

        if self.space is not None:
            space = copied(self.space, self.name)
        else:
            space = write(self.name, self.hyperparameters.values())
        if seed is not None:
            space.seed(seed)
        return space

    def diagram(self, config: Mapping[str, Any], width: int, image_size: int) -> list[Part]:  # noqa: ARG002
        """The network of :meth:`reduced` as boxes from input to output; none: figures list its choices.

        Args:
            config: A configuration of this space.
            width: As :meth:`reduced` takes it; of old runs, it may be smaller than allowed now.
            image_size: Height and width of the images, pixels.
        """
        return []

    @cached_property
    def exporting(self) -> Exporting:
        """Its networks outside a search: timm's arguments, model card, weights of others; all optional."""
        from search_spaces.exporting import Exporting

        return Exporting(self)

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
        if self.rules is None:
            for key in self.hyperparameters:
                if key not in values:
                    raise UserError(f"{key}: missing in the configuration")
        found = {key: self.hyperparameters[key].canonical(value) for key, value in values.items()}
        if self.rules is not None:
            self.rules.check(found)
        return found

    def enumerate(self) -> Iterator[Config]:
        """All configurations, the last hyperparameter changing fastest where there are no conditions.

        Raises:
            UserError: If there is no end of them.
        """
        if math.isinf(self.size):
            raise UserError(f"{self.name}: has infinitely many configurations")
        if self.rules is not None:
            yield from self.rules.configs(self.rules.every())
            return
        ranges = [values_of(hp) for hp in self.hyperparameters.values()]
        for values in product(*ranges):
            yield plain(dict(zip(self.hyperparameters, values, strict=True)))

    def sample(self, n: int, seed: int) -> list[Config]:
        """Draws distinct configurations, each with equal probability where there are no conditions.

        A longer sample of the same seed begins with the shorter one.

        Args:
            n: How many; all there are if that is less.
            seed: Of the draw.
        """
        draw = random.Random(seed)
        if self.rules is None and math.isfinite(self.size):
            ranks: dict[int, None] = {}
            while len(ranks) < min(n, self.size):
                ranks[draw.randrange(int(self.size))] = None
            return [self._at(rank) for rank in ranks]
        if self.size <= _FEW:
            every = list(self.enumerate())
            draw.shuffle(every)
            return every[:n]
        from search_spaces.rules import Rules

        return (self.rules or Rules(self.configspace())).sample(n, seed)

    def changes(self, config: Mapping[str, Any], base: Mapping[str, Any] | None = None) -> list[Change]:
        """Where a configuration differs from another one, by default from the base architecture."""
        other = self.validate(self.default if base is None else base)
        found = {change.name: change for change in differences(self.validate(config), other)}
        return [found[name] for name in self.hyperparameters if name in found]

    def _at(self, rank: int) -> Config:
        values = {}
        for name, hp in reversed(list(self.hyperparameters.items())):
            rank, index = divmod(rank, int(hp.size))
            values[name] = values_of(hp)[index]
        return plain(values)
