"""What a search weighs besides the error: costs to minimise, and limits that nothing may exceed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from search_spaces.base import Config


@dataclass(frozen=True)
class Costs:
    """The costs of configurations, as an optimiser needs them.

    Attributes:
        objectives: Costs to be minimised beside the error, one or two.
        limits: The most that a cost may be, by name; a cost need not be an objective.
        known: Exact costs of configurations before they are trained, by name, in their order; costs
            that can only be measured are not among them. A call may take milliseconds a new configuration,
            none for one asked before.
        measured: Costs that come with a trial's outcome only (``Outcome.metrics``).
    """

    objectives: tuple[str, ...]
    limits: Mapping[str, float]
    known: Callable[[Sequence[Config]], Sequence[Mapping[str, float]]]
    measured: tuple[str, ...] = field(default=())

    def fits(self, costs: Mapping[str, float]) -> bool:
        """Whether a configuration with these costs keeps all limits on them."""
        return all(costs[name] <= limit for name, limit in self.limits.items() if name in costs)
