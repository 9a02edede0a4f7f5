"""What ``search.json`` must hold, so that whatever reads a run can rely on it.

A run folder may come from anywhere. Checked are the keys that this program reads; others are let through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_NUMBER = (int, float)
_SEARCH: dict[str, Any] = {
    "settings": {"choice": {"optimizer": str, "seed": int}, "space": {"space": str}},
    "limits": {"seconds": _NUMBER, "trials": (int, type(None))},
    "rungs": list,
    "space": {"name": str, "size": (*_NUMBER, type(None)), "fingerprint": str, "default": dict},
    "data": {"name": str},
    "width": int,
    "hardware": {"device": str},
    "versions": dict,
}


def check_search(search: Mapping[str, Any]) -> None:
    """Checks ``search.json``.

    Raises:
        ValueError: Naming the key that is missing or of a wrong kind.
    """
    _check(search, _SEARCH)
    if not all(isinstance(epochs, int) for epochs in search["rungs"]):
        raise ValueError("rungs: must be integers")
    then = search.get("then", [])
    if not isinstance(then, list) or not all(isinstance(step, str) for step in then):
        raise ValueError("then: must be a list of texts")


def _check(values: Mapping[str, Any], shape: Mapping[str, Any], at: str = "") -> None:
    for key, kind in shape.items():
        if key not in values:
            raise ValueError(f"{at}{key}: missing")
        if isinstance(kind, dict):
            if not isinstance(values[key], dict):
                raise ValueError(f"{at}{key}: must be an object")
            _check(values[key], kind, f"{at}{key}.")
        elif not isinstance(values[key], kind):
            raise ValueError(f"{at}{key}: of a wrong kind")
