"""Search spaces that are not registered: ``package.module:Class``, or a file, ``path/to/file.py[:Class]``."""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import math
import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import GenericAlias
from typing import TYPE_CHECKING, Any

from nas.util.errors import UserError, first_line

if TYPE_CHECKING:
    from types import ModuleType
    from typing import TypeGuard

    from search_spaces.base import SearchSpace

_SUFFIX = ".py"
_REDUCED = "reduced"
_INACTIVE = "inactive"  # the same as in analysis.levels
_TRIED, _LEAST = 2000, 20  # number of draws, and how many of them must be allowed
_LISTED = 100_000  # spaces up to this size are listed instead


def is_code(name: str) -> bool:
    """Whether a name stands for the code of a custom space, which runs only if the user names it."""
    return ":" in name or name.endswith(_SUFFIX)


def is_file(name: str) -> bool:
    """Whether a name is that of a file, with or without a class."""
    return _split(name)[0].endswith(_SUFFIX)


def resolved(name: str) -> str:
    """Makes the path of a file absolute; returns other names unchanged."""
    if not isinstance(name, str) or not is_file(name):
        return name
    path, attribute = _split(name)
    absolute = str(Path(path).expanduser().resolve())
    return f"{absolute}:{attribute}" if attribute else absolute


def digest(name: str) -> str:
    """Hashes the content of a space's file to 12 hexadecimal digits; "" if there is no such file."""
    path = Path(_split(name)[0])
    if not is_file(name) or not path.is_file():
        return ""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12]


def load(name: str, target: str) -> SearchSpace:
    """Imports a space and checks it.

    Args:
        name: The name that the user gave, for messages.
        target: ``package.module:Class`` or ``file.py[:Class]``.

    Raises:
        UserError: If there is no such space, its code fails, or a run could not store its values.
    """
    from search_spaces.base import check

    place, attribute = _split(target)
    try:
        module = _from_file(place) if place.endswith(_SUFFIX) else _imported(place)
        if not attribute:
            attribute = _only_space(module)
        found = getattr(module, attribute)
        if not is_space_class(found):
            raise TypeError(f"{attribute} is no subclass of search_spaces.base.SearchSpace")
        space = found()
        if not isinstance(getattr(space, "hyperparameters", {}), Mapping):
            raise UserError("hyperparameters: must be a tuple of Hyperparameter, Integer and Float")
        if not getattr(space, "hyperparameters", {}):
            raise UserError(
                "has no hyperparameters; give it hyperparameters = (...) or space = a ConfigSpace"
            )
        check(space.hyperparameters)  # properties are known only now
        _check(space)
        return space
    except UserError as error:
        raise UserError(f"search space {name}: {error.given}") from error
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        hint = ""
        if place == "__main__":
            hint = "; write a notebook's class to a file, and give its path"
        elif isinstance(error, ModuleNotFoundError) and error.name == place.partition(".")[0]:
            hint = "; it must lie in the folder you are in, or in one that PYTHONPATH names"
        elif type(error).__name__ == "ForbiddenValueError":
            hint = "; the default configuration must be allowed: give other defaults"
        raise UserError(f"search space {name}: cannot be loaded ({first_line(error)}){hint}") from error
    except (Exception, SystemExit) as error:  # a user's module may do anything
        said = f"{type(error).__name__} ({first_line(error)})"
        raise UserError(f"search space {name}: cannot be loaded, its code ended with {said}") from error


def _split(name: str) -> tuple[str, str]:
    place, _, attribute = name.rpartition(":")
    return (place, attribute) if place else (name, "")


def _imported(module: str) -> ModuleType:
    """Imports a module that is installed or is in the current folder."""
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)
    return import_module(module)


def _from_file(place: str) -> ModuleType:
    path = Path(place).expanduser().resolve()
    if not path.is_file():
        raise UserError(f"no such file{_near(path)}")
    name = f"search_space_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return sys.modules[name]
    if (folder := str(path.parent)) not in sys.path:  # so that it can import its neighbours
        sys.path.append(folder)
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UserError("is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # pickle and dataclasses look there
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _near(path: Path) -> str:
    try:
        beside = [file.name for file in path.parent.glob(f"*{_SUFFIX}")]
    except OSError:
        beside = []
    close = difflib.get_close_matches(path.name, beside, n=1)
    return f"; did you mean {path.parent / close[0]}?" if close else f" as {path}"


def is_space_class(value: object) -> TypeGuard[type[SearchSpace]]:
    """Whether it is a class of spaces; Python 3.10 takes an alias such as ``dict[str, int]`` for a class."""
    from search_spaces.base import SearchSpace

    return isinstance(value, type) and not isinstance(value, GenericAlias) and issubclass(value, SearchSpace)


def _only_space(module: ModuleType) -> str:
    """Returns the name of the only space that a module defines."""
    found = [
        name
        for name, value in vars(module).items()
        if is_space_class(value)
        and value.__module__ == module.__name__
        and not getattr(value, "__abstractmethods__", None)
    ]
    if not found:
        raise UserError("has no class that is a SearchSpace and has a method build")
    if len(found) > 1:
        listed = ", ".join(found)
        raise UserError(f"has several spaces; say which, as in {module.__file__}:{found[0]} ({listed})")
    return found[0]


def _check(space: SearchSpace) -> None:
    """Refuses faults that would fail a search later.

    Raises:
        UserError: If there are any; it names the hyperparameter or attribute.
    """
    _ = space.asked
    _check_words(space)
    for name, width in space.presets.items():
        if type(width) is not int or width < 1:
            raise UserError(f"presets: {name} is {width!r}; must be a whole number of at least 1")
    if "width" in space.asked and "geometry" not in space.asked and not space.presets:
        raise UserError("build asks for width; give it presets, such as {'tiny': 16, 'paper': 64}")
    _check_training(space)
    _check_points(space)
    rules = space.rules
    if rules is None:
        return
    for j, name in enumerate(rules.names):
        if rules.conditional(j) and _INACTIVE in space.hyperparameters[name].choices:
            raise UserError(
                f"hyperparameter {name}: choice {_INACTIVE!r} is what tables call it where its condition "
                "does not hold; call it otherwise"
            )
    import numpy as np

    if space.size > _LISTED and len(rules.draw(_TRIED, np.random.RandomState(0))) < _LEAST:
        raise UserError(
            f"its forbidden clauses forbid nearly everything (of {_TRIED} draws fewer than {_LEAST} are "
            "left); say it with conditions, or fewer choices"
        )
    if math.isfinite(space.size) and not space.size:
        raise UserError("its forbidden clauses forbid everything")


def _check_words(space: SearchSpace) -> None:
    for attribute in ("name", "title"):
        value: Any = getattr(space, attribute)
        if not isinstance(value, str) or not value or not value.isprintable():
            raise UserError(f"{attribute}: is {value!r}; must be text, in one line")
    for attribute in ("presets", "full_sizes"):
        named: Any = getattr(space, attribute)
        if not isinstance(named, Mapping) or not all(isinstance(name, str) and name for name in named):
            raise UserError(f"{attribute}: must be named, as in {attribute} = {{'small': ...}}")
    if _REDUCED in space.full_sizes:
        raise UserError(
            f"full_sizes: {_REDUCED} is what the export calls the searched size; call it otherwise"
        )


def _check_points(space: SearchSpace) -> None:
    if not isinstance(space.points, Mapping):
        raise UserError("points: must be configurations by name, as in points = {'mine': {...}}")
    for name, config in [("default", space.default), *space.points.items()]:
        try:
            space.validate(config)
        except UserError as error:
            raise UserError(f"point {name}: {error.given}") from None


def _check_training(space: SearchSpace) -> None:
    from search_spaces.hyperparameters import TRAINING

    if not isinstance(space.training, tuple | list):  # the order of a set differs from start to start
        raise UserError(f"training: is {space.training!r}; must be a tuple of names, such as ('lr',)")
    for name in space.training:
        if name not in space.hyperparameters:
            raise UserError(f"training: there is no hyperparameter {name}")
        if name not in TRAINING:
            known = ", ".join(TRAINING)
            raise UserError(f"hyperparameter {name}: the recipe has no such setting; there are {known}")
        hp: Any = space.hyperparameters[name]
        values = hp.choices or (hp.lower, hp.upper)
        if any(isinstance(v, bool | str) or not TRAINING[name][0] <= v <= TRAINING[name][1] for v in values):
            low, high = TRAINING[name]
            raise UserError(
                f"hyperparameter {name}: goes to the recipe; must be numbers from {low:g} to {high:g}"
            )
