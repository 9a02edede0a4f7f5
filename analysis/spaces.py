"""The search space of a run, as far as reading a run may use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import search_spaces

if TYPE_CHECKING:
    from nas.run.search_file import SearchFile
    from search_spaces.base import SearchSpace


def registered(search: SearchFile) -> SearchSpace | None:
    """Returns the space of a run if it is registered; code of custom spaces is not run to read a run.

    Args:
        search: Content of ``search.json``.
    """
    name = search.named_space
    return search_spaces.get(name) if name in search_spaces.names() else None
