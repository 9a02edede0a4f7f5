"""Registry of base architectures that can be searched.

A new one is a module with a :class:`~search_spaces.base.SearchSpace` and one line at the end of
this file.
"""

from __future__ import annotations

import difflib
from importlib import import_module
from typing import TYPE_CHECKING

from nas.util.errors import UserError, first_line

if TYPE_CHECKING:
    from search_spaces.base import SearchSpace

_TARGETS: dict[str, str] = {}


def register(name: str, target: str) -> None:
    """Makes a search space known; its module is imported by the first :func:`get`.

    Args:
        name: What users type.
        target: ``package.module:Class``, a subclass of ``SearchSpace`` that takes no arguments.

    Raises:
        ValueError: If the name is taken.
    """
    if name in _TARGETS:
        raise ValueError(f"search space {name!r} is registered already, as {_TARGETS[name]}")
    _TARGETS[name] = target


def names() -> list[str]:
    """Names of all registered search spaces, sorted."""
    return sorted(_TARGETS)


def get(name: str) -> SearchSpace:
    """Gives a registered search space, or one that lies elsewhere.

    Args:
        name: A registered name, or ``package.module:Class`` of anything that can be imported.

    Raises:
        UserError: If there is none of that name.
    """
    if ":" in name:
        return _load(name, name)
    if name not in _TARGETS:
        close = difflib.get_close_matches(name.lower(), names(), n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise UserError(f"search space {name!r}: {hint}must be one of {', '.join(names())}")
    return _load(name, _TARGETS[name])


def _load(name: str, target: str) -> SearchSpace:
    from search_spaces.base import SearchSpace, check

    module, _, attribute = target.partition(":")
    try:
        found = getattr(import_module(module), attribute)
        if not isinstance(found, type) or not issubclass(found, SearchSpace):
            raise TypeError(f"{attribute} is no subclass of search_spaces.base.SearchSpace")
        space = found()
        check(space.hyperparameters)  # those that are a property are known only now
        return space
    except UserError as error:
        raise UserError(f"search space {name}: {error.given}") from error
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise UserError(f"search space {name}: cannot be loaded ({first_line(error)})") from error
    except (Exception, SystemExit) as error:  # a user's module may do anything
        said = f"{type(error).__name__} ({first_line(error)})"
        raise UserError(f"search space {name}: cannot be loaded, its code ended with {said}") from error


register("nexception", "search_spaces.nexception:NEXcepTionSpace")
