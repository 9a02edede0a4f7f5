"""The base class of search spaces: hyperparameters, exact size, named points and a builder."""

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


_FEW = 4096  # spaces with rules up to this size are listed, to draw from the list
_OFFERED = ("config", "num_classes", "in_chans", "image_size", "geometry", "width", "drop_path_rate")


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def config_id(config: Mapping[str, Any]) -> str:
    """Hashes a configuration's canonical JSON to 12 hexadecimal digits.

    Equal NumPy and Python values give the same hash, unlike with ``Configuration.__hash__``.
    """
    return hashlib.sha256(_canonical(plain(config)).encode()).hexdigest()[:12]


class Reduced(NamedTuple):
    """The geometry of the reduced network, for a space without geometries."""

    width: int
    image_size: int


class SearchSpace(ABC):
    """A base architecture, its choices and a builder.

    A space must define its choices and how a network is built::

        class Mine(SearchSpace):
            "A stack of convolutions."

            hyperparameters = (
                Hyperparameter("kernel", (3, 5, 7), default=3, ordinal=True),
                Integer("depth", 1, 6, default=2),
                Float("dropout", 0.0, 0.5, default=0.1),
            )

            def build(self, config, num_classes, in_chans, image_size):
                return nn.Sequential(...)  # (B, in_chans, image_size, image_size) to (B, num_classes)

    Instead of ``hyperparameters`` it may define ``space``, any ``ConfigSpace.ConfigurationSpace``, with
    conditions and forbidden clauses. A configuration then holds the active hyperparameters only. Everything
    else is optional; the members below are the defaults.

    Attributes:
        name: Name that users type (by default the class's name in lower case).
        title: One line that describes it (by default the first line of the class's docstring).
        hyperparameters: The choices, as a sequence or by name.
        space: The choices as a ConfigSpace; ``meta={"meaning": ..., "source": ...}`` describes them.
        presets: Named widths for :meth:`reduced`; none: the network has one width.
        full_sizes: Named geometries that :meth:`build` takes, of networks in papers for example.
        training: Hyperparameters of the training recipe, which have the names of its settings:
            ``lr``, ``weight_decay``, ``smoothing``, ``mixup``, ``cutmix``, ``drop_path_rate``, ...
        costs: Further costs that a search can minimise, by name: functions of a configuration and a geometry,
            as passed to :meth:`build`, that return a number above zero; lower is better.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    hyperparameters: ClassVar[Any]  # a mapping once the class is created
    space: ClassVar[Any] = None
    presets: ClassVar[Mapping[str, int]] = {}
    full_sizes: ClassVar[Mapping[str, Any]] = {}
    training: ClassVar[Sequence[str]] = ()
    costs: ClassVar[Mapping[str, Callable[[Config, Any], float]]] = {}

    def __init_subclass__(cls) -> None:
        """Fills in defaults, and checks the hyperparameters that the class itself defines.

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
        """Named configurations.

        A search tries them first, except ``cheapest`` and ``costliest``, on which a plan is measured: their
        multiply-accumulates and parameters should bound all others' within one per cent. Where they are not
        named, :mod:`search_spaces.ends` finds them.
        """
        return {"default": self.default}

    def reduced(self, width: int, image_size: int = 32) -> Any:
        """Returns the geometry of the reduced network that a search trains.

        Args:
            width: Scale of the channels: a value of the presets or any other that the space allows.
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
        """Builds the network of a configuration, which maps images ``(B, C, H, W)`` to ``(B, num_classes)``.

        A space's method takes whichever of these arguments it needs:

        Args:
            config: A configuration of this space, validated.
            num_classes: Number of classes.
            in_chans: Number of image channels.
            image_size: Height and width of the images, pixels.
            geometry: From :meth:`reduced`, or one of ``full_sizes``.
            width: Requested scale of the channels.
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
        """Builds a network by calling :meth:`build` with the arguments that it takes.

        Raises:
            UserError: If the configuration is not of this space, or ``build`` takes other arguments.
            TypeError: If ``build`` does not return a module.
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
        """Names of the arguments that :meth:`build` takes.

        Raises:
            UserError: If one of them is not available.
        """
        parameters = inspect.signature(self.build).parameters.values()
        if any(one.kind is one.VAR_KEYWORD for one in parameters):
            return _OFFERED
        for one in parameters:
            if one.name not in _OFFERED and one.default is one.empty:
                raise UserError(f"build asks for {one.name}; there are {', '.join(_OFFERED)}")
        return tuple(one.name for one in parameters if one.name in _OFFERED)

    def usual_width(self, *, gpu: bool) -> int:
        """Returns the width of ``auto``: the preset ``paper`` on a GPU, ``tiny`` elsewhere, if they exist.

        Otherwise it is the last preset or the first, respectively; 0 for a space without presets.
        """
        if not self.presets:
            return 0
        widths = [*self.presets.values()]
        return self.presets.get("paper", widths[-1]) if gpu else self.presets.get("tiny", widths[0])

    @cached_property
    def rules(self) -> Rules | None:
        """Conditions and forbidden clauses; None for a space without any."""
        if self.space is None or not (self.space.conditions or self.space.forbidden_clauses):
            return None
        from search_spaces.rules import Rules

        return Rules(self.configspace())

    @cached_property
    def size(self) -> int | float:
        """Exact number of configurations; infinite if a hyperparameter is a float."""
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
        """Hash of the choices and defaults, 12 hexadecimal digits.

        It changes whenever a run of the old space could not continue in the new one.
        """
        described: list[Any] = [self.name, [hp.identity() for hp in self.hyperparameters.values()]]
        if self.rules is not None:
            written = self.configspace().to_serialized_dict()
            described += [written["conditions"], written["forbiddens"]]
        if self.training:
            described.append(list(self.training))
        return hashlib.sha256(_canonical(described).encode()).hexdigest()[:12]

    def configspace(self, seed: int | None = None) -> ConfigurationSpace:
        """Builds a new ConfigSpace object, optionally seeded."""
        from search_spaces.configspaces import copied, write

        if self.space is not None:
            space = copied(self.space, self.name)
        else:
            space = write(self.name, self.hyperparameters.values())
        if seed is not None:
            space.seed(seed)
        return space

    def diagram(self, config: Mapping[str, Any], width: int, image_size: int) -> list[Part]:  # noqa: ARG002
        """Returns the reduced network as boxes from input to output; without any, figures list choices.

        Args:
            config: A configuration of this space.
            width: The width, see :meth:`reduced`; that of an old run may be smaller than is allowed now.
            image_size: Height and width of the images, pixels.
        """
        return []

    @cached_property
    def exporting(self) -> Exporting:
        """What exports need: timm's arguments, text of the model card, released weights; all optional."""
        from search_spaces.exporting import Exporting

        return Exporting(self)

    def validate(self, config: Any) -> Config:
        """Returns the canonical form of a configuration: plain Python values, keys sorted.

        Raises:
            UserError: If a key is missing, unknown or has no such choice; it names the first one.
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
        """Yields all configurations; without conditions the last hyperparameter changes fastest.

        Raises:
            UserError: If there are infinitely many.
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
            n: Number of configurations; all if there are fewer.
            seed: Seed of the draw.
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
        """Returns the differences from another configuration, by default from the base architecture."""
        other = self.validate(self.default if base is None else base)
        found = {change.name: change for change in differences(self.validate(config), other)}
        return [found[name] for name in self.hyperparameters if name in found]

    def _at(self, rank: int) -> Config:
        values = {}
        for name, hp in reversed(list(self.hyperparameters.items())):
            rank, index = divmod(rank, int(hp.size))
            values[name] = values_of(hp)[index]
        return plain(values)
