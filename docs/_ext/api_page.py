"""The page of the Python API: whatever ``nas.__all__`` holds, from its docstrings."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType


def page(module: ModuleType) -> str:
    """Markdown of one module's public names, in the order in which it lists them."""
    names = [name for name in getattr(module, "__all__", ()) if not name.startswith("__")]
    return "\n".join(_page(module, names))


def _page(module: ModuleType, names: list[str]) -> Iterator[str]:
    yield f"# `import {module.__name__}`\n"
    yield f"```{{eval-rst}}\n.. module:: {module.__name__}\n"
    yield f"{inspect.cleandoc(module.__doc__ or '')}\n"
    for name in names:
        yield f".. {_directive(getattr(module, name))}:: {module.__name__}.{name}"
        yield "   :members:\n" if inspect.isclass(getattr(module, name)) else ""
    yield "```\n"


def _directive(found: object) -> str:
    if inspect.isclass(found):
        return "autoexception" if issubclass(found, BaseException) else "autoclass"
    if inspect.ismodule(found):
        return "automodule"
    return "autofunction" if callable(found) else "autodata"
