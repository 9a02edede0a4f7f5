"""Objectives besides the error: costs to minimise, and limits that nothing may exceed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from search_spaces.base import Config


@dataclass(frozen=True)
class Costs:
    """The costs of configurations in the form that an optimiser needs.

    Attributes:
        objectives: Costs to minimise besides the error, at most two.
        limits: Upper limits of costs by name, also of costs that are not objectives.
        known: Exact costs of configurations before they are trained, by name, in their order; costs
            that can only be measured are not among them. A call may take milliseconds a new configuration,
            none for one asked before.
        measured: Costs that are known only from a trial's outcome (``Outcome.metrics``).
    """

    objectives: tuple[str, ...]
    limits: Mapping[str, float]
    known: Callable[[Sequence[Config]], Sequence[Mapping[str, float]]]
    measured: tuple[str, ...] = field(default=())

    def fits(self, costs: Mapping[str, float]) -> bool:
        """Whether a configuration with these costs is within all limits on them."""
        return all(costs[name] <= limit for name, limit in self.limits.items() if name in costs)
