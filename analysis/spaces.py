"""The search space of a run, where reading the run may use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import search_spaces

if TYPE_CHECKING:
    from nas.run.search_file import SearchFile
    from search_spaces.base import SearchSpace


def registered(search: SearchFile) -> SearchSpace | None:
    """The space of a run if it is one of ours; code of others is not run to read it, whatever its name is.

    Args:
        search: What ``search.json`` holds.
    """
    name = search.named_space
    return search_spaces.get(name) if name in search_spaces.names() else None
