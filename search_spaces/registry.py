"""Registry of base architectures that can be searched.

A new one is a module with a :class:`~search_spaces.base.SearchSpace` and one line at the end of
this file; or a file of a user's own, which needs no line here.
"""

from __future__ import annotations

import contextlib
import difflib
from pathlib import Path
from typing import TYPE_CHECKING

from nas.util.errors import UserError

if TYPE_CHECKING:
    from search_spaces.base import SearchSpace

DEFAULT = "nexception"  # where none is named

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
        name: A registered name, ``package.module:Class`` of anything that can be imported, or
            ``path/to/file.py``, with ``:Class`` if there are several in it.

    Raises:
        UserError: If there is none of that name.
    """
    from search_spaces import loading

    if loading.is_code(name):
        return loading.load(name, name)
    if name not in _TARGETS:
        raise UserError(f"search space {name!r}: {_hint(name)}must be one of {', '.join(names())}")
    return loading.load(name, _TARGETS[name])


def _hint(name: str) -> str:
    close = difflib.get_close_matches(name.lower(), names(), n=1)
    if close:
        return f"did you mean {close[0]}? "
    with contextlib.suppress(OSError, ValueError):  # a name that no file can have
        if Path(f"{name}.py").is_file():
            return f"for the file say {name}.py; "
    if "/" in name:
        return "a custom space is path/to/file.py; "
    return ""


register("nexception", "search_spaces.nexception:NEXcepTionSpace")
register("resnet", "search_spaces.resnet.space:ResNetSpace")
register("mobilenet", "search_spaces.mobilenet.space:MobileNetSpace")
register("vit", "search_spaces.vit.space:ViTSpace")
