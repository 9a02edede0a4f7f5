"""Named points of a space, by the names that users type and see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from search_spaces.hyperparameters import Config

CHEAPEST, COSTLIEST = "cheapest", "costliest"
COST_ENDS = (CHEAPEST, COSTLIEST)  # the points that stand for the ends of cost
_RENAMED = {"dearest": COSTLIEST}  # names in spaces, run folders and commands of earlier versions


class _Space(Protocol):
    @property
    def points(self) -> dict[str, Config]: ...


class Points(dict[str, Config]):
    """Configurations by name. Names of earlier versions (``dearest``) are found, but not listed.

    Args:
        points: Configurations by their names of now or then.
    """

    def __init__(self, points: Mapping[str, Config]) -> None:
        super().__init__({point_name(name): config for name, config in points.items()})

    def __missing__(self, name: str) -> Config:
        if name not in _RENAMED:
            raise KeyError(name)
        return self[_RENAMED[name]]

    def __contains__(self, name: object) -> bool:
        return super().__contains__(_RENAMED.get(name, name) if isinstance(name, str) else name)

    def get(self, name: str, default: Any = None) -> Any:
        """Returns a configuration, or the default where there is none of that name."""
        return super().get(point_name(name), default)


def point_name(name: str) -> str:
    """Returns today's name of a point."""
    return _RENAMED.get(name, name)


def named_points(space: _Space) -> Points:
    """Returns the named points of a space, whichever names it gave them."""
    return Points(space.points)


def cost_ends(space: _Space) -> dict[str, Config]:
    """Returns those points of a space that stand for the ends of cost."""
    return {name: config for name, config in named_points(space).items() if name in COST_ENDS}
