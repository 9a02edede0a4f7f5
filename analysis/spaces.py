"""The search space of a run, where reading the run may use it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import search_spaces

if TYPE_CHECKING:
    from collections.abc import Mapping

    from search_spaces.base import SearchSpace


def registered(search: Mapping[str, Any]) -> SearchSpace | None:
    """The space of a run if it is one of ours; code of others is not run to read it, whatever its name is.

    Args:
        search: What ``search.json`` holds.
    """
    settings = search.get("settings", {}).get("space", {})
    name = settings.get("space", search["space"]["name"])
    return search_spaces.get(name) if name in search_spaces.names() else None
