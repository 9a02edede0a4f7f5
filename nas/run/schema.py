"""What an event and ``search.json`` must hold, so that everything that reads a run can rely on it.

A run folder may come from anywhere. Checked are the keys that this program reads; others are let through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_NUMBER = (int, float)
_TRIAL = {"trial": int}

_EVENTS: dict[str, dict[str, Any]] = {
    "session": {"phase": str},
    "asked": {**_TRIAL, "config_id": str, "config": dict, "epochs": int, "origin": str},
    "started": {**_TRIAL, "time": str, "clock": _NUMBER},
    "paused": _TRIAL,
    "epoch": {**_TRIAL, "epoch": int, "metrics": dict},
    "ended": {
        **_TRIAL,
        "status": str,
        "error": (*_NUMBER, type(None)),
        "metrics": dict,
        "seconds": _NUMBER,
        "time": str,
        "clock": _NUMBER,
    },
    "incumbent": _TRIAL,
    "slots": {"count": int},
    "salvaged": {
        "config_id": str,
        "epochs": int,
        "error": (*_NUMBER, type(None)),
        "metrics": dict,
        "reason": str,
        "curve": list,
    },
}

# Keys that may be missing.
_OPTIONAL: dict[str, Any] = {
    "clock": _NUMBER,
    "reason": str,
    "message": str,
    "host": str,
    "command": list,
    "cached": bool,
}

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


def check_event(event: Mapping[str, Any]) -> None:
    """Checks an event of a kind that this program knows.

    Raises:
        ValueError: Naming the key that is missing or of a wrong kind.
    """
    kind = event.get("event")
    if not isinstance(kind, str):
        raise ValueError("event: missing")
    shape = _EVENTS.get(kind, {})
    _check(event, shape)
    for key in _OPTIONAL.keys() & event.keys():
        if not isinstance(event[key], _OPTIONAL[key]):
            raise ValueError(f"{key}: of a wrong kind")
    if "metrics" in shape:
        for value in event["metrics"].values():
            if value is not None and not isinstance(value, _NUMBER):
                raise ValueError("metrics: must be numbers")


def check_search(search: Mapping[str, Any]) -> None:
    """Checks ``search.json``.

    Raises:
        ValueError: Naming the key that is missing or of a wrong kind.
    """
    _check(search, _SEARCH)
    if not all(isinstance(epochs, int) for epochs in search["rungs"]):
        raise ValueError("rungs: must be integers")


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
