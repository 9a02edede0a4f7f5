"""Converts a search space given as a name, class or object to the text by which a trial process finds it."""

from __future__ import annotations

import sys
from pathlib import Path

import search_spaces
from nas.util.errors import UserError
from search_spaces.base import SearchSpace
from search_spaces.loading import is_space_class

_TO_A_FILE = "write it to a file, say my_space.py (in a notebook: %%writefile my_space.py), and import it"


def name_of(space: str | SearchSpace | type[SearchSpace]) -> str:
    """Returns the text by which a trial process finds the space.

    Args:
        space: A registered name, ``package.module:Class``, a subclass of ``SearchSpace`` or an instance of
            one.

    Raises:
        UserError: If there is no such space, or another process cannot import it.
    """
    if isinstance(space, str):
        search_spaces.get(space)
        return space
    kind = space if isinstance(space, type) else type(space)
    if not is_space_class(kind):
        raise UserError(f"space {space!r}: must be a name, a subclass of nas.SearchSpace or an object of one")
    for name in search_spaces.names():
        if type(search_spaces.get(name)) is kind:
            return name
    target = f"{_module(kind)}:{kind.__qualname__}"
    if "." in kind.__qualname__:
        raise UserError(
            f"space {target}: stands within a function or class; must stand at a module's top level"
        )
    found = search_spaces.get(target)
    if isinstance(space, SearchSpace) and found.fingerprint != space.fingerprint:
        raise UserError(
            f"space {target}: not what {kind.__name__}() makes, which is what trial processes search; give "
            "its choices in a subclass of its own, not as arguments"
        )
    return target


def _module(kind: type) -> str:
    """Returns how another process imports a class's module: by its name, or a script by its path."""
    if kind.__module__ != "__main__":
        return kind.__module__
    script = getattr(sys.modules["__main__"], "__file__", None)
    if script is None or not Path(script).is_file():
        raise UserError(
            f"space {kind.__name__}: is defined in this session, which a trial process cannot import; "
            f"{_TO_A_FILE}"
        )
    return str(Path(script).resolve())
