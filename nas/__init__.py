"""Neural architecture search: space -> config -> network -> trial -> journal -> analysis and export.

What is named here is the Python API (docs/python-api.md). A name is imported when it is first asked for, so
that ``import nas`` costs nothing and brings in neither torch nor pandas. Type checkers read ``__init__.pyi``.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.2.0"

_PLACES = {
    "run_search": "nas.api.searching",
    "resume_search": "nas.api.searching",
    "open_run": "nas.api.runs",
    "list_runs": "nas.api.runs",
    "Run": "nas.api.runs",
    "Trial": "nas.api.trials",
    "Incumbent": "nas.api.trials",
    "SearchSpace": "search_spaces.base",
    "Hyperparameter": "search_spaces.base",
    "Integer": "search_spaces.base",
    "Float": "search_spaces.base",
    "UserError": "nas.util.errors",
}

__all__ = list(_PLACES)


def __getattr__(name: str) -> Any:
    """Imports a name of the API when it is first asked for (PEP 562).

    Raises:
        AttributeError: If there is no such name.
    """
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(import_module(_PLACES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
