"""Limits on what can only be measured, checked on the smallest networks before the first trial."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from nas.run.objectives import format_cost, title
from nas.util.errors import SettingError, UserError
from search_spaces.base import config_id
from search_spaces.ends import corners

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from nas.costs.counter import Counter
    from search_spaces.base import Config, SearchSpace

_SAMPLE, _SEED = 48, 0
_EACH = 2  # networks of the fewest MACs, and of the fewest parameters
# The smallest network need not be the fastest; but what is twice as slow as the limit leaves little hope.
_HOPELESS = 2.0
_FAILURES = 2  # in the beginning: the user's command fails, not the networks


def smallest(space: SearchSpace, counter: Counter) -> list[Config]:
    """The configurations of fewest MACs and of fewest parameters among points, corners and a sample."""
    tried = [*space.points.values(), *(config for _, config in corners(space))]
    tried += space.sample(_SAMPLE, _SEED)
    costs = counter.costs(tried)
    found: dict[str, Config] = {}
    for name in ("macs", "params"):
        order = sorted(range(len(tried)), key=lambda place: (costs[place][name], place))
        best = dict.fromkeys(config_id(tried[place]) for place in order if math.isfinite(costs[place][name]))
        names = list(best)[:_EACH]
        found |= {config_id(one): one for one in tried if config_id(one) in names}
    return list(found.values())


def check(
    configs: Sequence[Config],
    measure: Callable[[Config], Mapping[str, float]],
    limits: Mapping[str, float],
    given: Mapping[str, tuple[str, str]],
) -> list[str]:
    """Measures the smallest networks; what there is to say of limits that none of them keeps.

    Args:
        configs: The smallest.
        measure: Gives their costs by name; raises a UserError if it cannot.
        limits: The most that measured costs may be; at least one.
        given: The setting and its value as the user wrote it, by cost.

    Raises:
        UserError: If the first two or all cannot be measured, or all of them exceed a limit by far.
    """
    found: list[Mapping[str, float]] = []
    failures: list[UserError] = []
    for config in configs:
        try:
            found.append(measure(config))
        except UserError as error:
            failures.append(error)
            if len(failures) == _FAILURES and not found:
                raise
        else:
            if all(found[-1].get(name, math.inf) <= limit for name, limit in limits.items()):
                return []
    if not found and failures:
        raise failures[0]
    notes = []
    for name, limit in limits.items():
        least = min((costs[name] for costs in found if name in costs), default=0.0)
        said = (
            f"the smallest networks that were measured have {format_cost(name, least)} {title(name)} or more"
        )
        if least > _HOPELESS * limit:
            raise SettingError(*given[name], said)
        if least > limit:
            notes.append(f"{said}, the limit is {format_cost(name, limit)}: perhaps none keeps it")
    return notes
