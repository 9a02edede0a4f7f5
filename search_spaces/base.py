"""What a search space is: a ConfigSpace, its exact size, named points and a builder."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

Value = str | int | float | bool
Config = dict[str, Value]


def plain(config: Mapping[str, Any]) -> Config:
    """Casts NumPy scalars (ConfigSpace hands them out) to Python's own, keys sorted."""
    return {key: getattr(value, "item", lambda v=value: v)() for key, value in sorted(config.items())}


def config_id(config: Mapping[str, Any]) -> str:
    """Names a configuration by a hash of its canonical JSON: 12 hexadecimal digits.

    NumPy and Python values of equal meaning give one name, which ``Configuration.__hash__`` does not.
    """
    text = json.dumps(plain(config), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
