"""Between our hyperparameters and ConfigSpace's: both ways, and what is refused on the way in."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import orjson
from ConfigSpace import (
    CategoricalHyperparameter,
    ConfigurationSpace,
    Constant,
    OrdinalHyperparameter,
    UniformFloatHyperparameter,
    UniformIntegerHyperparameter,
)

from nas.util.errors import UserError
from search_spaces.hyperparameters import Float, Hyperparameter, Integer, Parameter, plain

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Mapping

_KNOWN = (
    CategoricalHyperparameter,
    OrdinalHyperparameter,
    Constant,
    UniformIntegerHyperparameter,
    UniformFloatHyperparameter,
)


def read(space: ConfigurationSpace) -> dict[str, Parameter]:
    """The hyperparameters of a ConfigSpace; words are taken from ``meta={"meaning": ..., "source": ...}``.

    Raises:
        UserError: If a hyperparameter is of an unsupported kind; it names it.
    """
    if not isinstance(space, ConfigurationSpace):
        raise UserError(f"space: is {type(space).__name__}; must be a ConfigSpace.ConfigurationSpace")
    if not len(space):
        raise UserError("space: has no hyperparameter; add one, such as Categorical('kernel', (3, 5))")
    return {name: _read(hp) for name, hp in space.items()}


def _read(hp: Any) -> Parameter:
    if type(hp) not in _KNOWN:
        kind = type(hp).__name__.replace("Hyperparameter", "")
        raise UserError(
            f"hyperparameter {hp.name}: is a {kind}; must be a categorical, ordinal, uniform integer, "
            "uniform float or constant (what you believe goes to the prior)"
        )
    meta = _meta(hp)
    words: dict[str, Any] = {name: str(meta.get(name) or "") for name in ("meaning", "source")}
    if isinstance(hp, UniformIntegerHyperparameter):
        return Integer(hp.name, int(hp.lower), int(hp.upper), int(hp.default_value), **words, log=hp.log)
    if isinstance(hp, UniformFloatHyperparameter):
        lower, upper, default = float(hp.lower), float(hp.upper), float(hp.default_value)
        return Float(hp.name, lower, upper, default, **words, log=hp.log)
    if isinstance(hp, Constant):
        (value,) = plain({"value": hp.value}).values()
        return Hyperparameter(hp.name, (value,), value, **words)
    ordinal = isinstance(hp, OrdinalHyperparameter)
    if not ordinal and hp.weights is not None:
        raise UserError(f"hyperparameter {hp.name}: has weights; leave them out and give a prior instead")
    choices = tuple(_own(choice) for choice in (hp.sequence if ordinal else hp.choices))
    return Hyperparameter(hp.name, choices, _own(hp.default_value), **words, ordinal=ordinal)


def _meta(hp: Any) -> Mapping[str, Any]:
    """What a hyperparameter says of itself.

    Raises:
        UserError: If that cannot be written down with the space.
    """
    meta = hp.meta or {}
    try:
        orjson.dumps(meta)
        kept = isinstance(meta, dict)
    except TypeError:
        kept = False
    if not kept:
        raise UserError(f"hyperparameter {hp.name}: meta must be text by name, as {{'meaning': '...'}}")
    return dict(meta)


def _own(value: Any) -> Any:
    """A NumPy scalar as Python's own; anything else as it is, for the checks to judge."""
    return value.item() if type(value).__module__ == "numpy" and hasattr(value, "item") else value


def write(name: str, hyperparameters: Iterable[Parameter]) -> ConfigurationSpace:
    """A ConfigSpace of hyperparameters, without conditions."""
    space = ConfigurationSpace(name=name)
    for hp in hyperparameters:
        space.add(_write(hp))
    return space


def _write(hp: Parameter) -> Any:
    meta: dict[Hashable, Any] | None
    meta = {key: text for key, text in (("meaning", hp.meaning), ("source", hp.source)) if text} or None
    if isinstance(hp, Integer):
        return UniformIntegerHyperparameter(hp.name, hp.lower, hp.upper, hp.default, hp.log, meta=meta)
    if isinstance(hp, Float):
        return UniformFloatHyperparameter(hp.name, hp.lower, hp.upper, hp.default, hp.log, meta=meta)
    if hp.ordinal:
        return OrdinalHyperparameter(hp.name, hp.choices, default_value=hp.default, meta=meta)
    return CategoricalHyperparameter(hp.name, hp.choices, default_value=hp.default, meta=meta)


def copied(space: ConfigurationSpace, name: str) -> ConfigurationSpace:
    """A user's own object again, under the space's name: whoever seeds the copy leaves the original alone."""
    fresh = copy.deepcopy(space)
    fresh.name = name
    return fresh
