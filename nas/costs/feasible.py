"""How many configurations the limits leave, checked before the first trial."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nas.run.objectives import format_cost, title
from nas.util.errors import SettingError
from nas.util.quantities import counted
from search_spaces.base import Hyperparameter, config_id
from search_spaces.ends import completed, corners

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from nas.costs.counter import Counter
    from search_spaces.base import Config, Parameter, SearchSpace

FEW = 10  # fewest configurations worth searching
_LISTED = 256  # spaces up to this size are counted completely
_SAMPLE, _SEED = 48, 0
_MOST = 1_500  # configurations counted before the search for fitting ones ends
_STARTS = 3  # starting points of the descent
_STEPS = 100  # steps across a range of real numbers


@dataclass
class FeasibleConfigs:
    """The configurations of a space found within limits.

    Attributes:
        fitting: Configurations within the limits, at least :data:`FEW` if there are that many.
        least: The lowest value found of each cost.
        every: Whether all configurations were counted.
        counted: Number of configurations counted.
        nearest: Costs of the configuration that exceeds the limits least.
    """

    fitting: list[Config] = field(default_factory=list)
    least: dict[str, float] = field(default_factory=dict)
    every: bool = False
    counted: int = 0
    nearest: Mapping[str, float] = field(default_factory=dict)


class _Search:
    """Counts configurations and remembers those that fit."""

    def __init__(self, space: SearchSpace, counter: Counter, limits: Mapping[str, float]) -> None:
        self._space, self._counter, self._limits = space, counter, limits
        self._seen: dict[str, float] = {}
        self._nearest = math.inf
        self.found = FeasibleConfigs()

    def look(self, configs: Sequence[Config]) -> list[tuple[float, Config]]:
        """Returns the factor by which each exceeds its limits (at most 1 if it fits), in ascending order."""
        found = []
        for config, costs in zip(configs, self._counter.costs(configs), strict=True):
            excess = max(costs[name] / limit for name, limit in self._limits.items())
            found.append((excess, config))
            name = config_id(config)
            if name in self._seen:
                continue
            self._seen[name] = excess
            self.found.counted += 1
            for cost in self._limits:
                self.found.least[cost] = min(self.found.least.get(cost, math.inf), costs[cost])
            if excess <= 1:
                self.found.fitting.append(config)
            if excess < self._nearest:
                self._nearest, self.found.nearest = excess, costs
        return sorted(found, key=lambda pair: pair[0])

    def descend(self, config: Config, excess: float) -> None:
        """Repeats the change of one choice that lowers costs most, until none does or enough fit."""
        while not self.enough:
            better = self.look(list(_neighbours(self._space, config)))[:1]
            if not better or better[0][0] >= excess:
                return
            excess, config = better[0]

    def spread(self) -> None:
        """Tries the neighbours of all fitting configurations, including those found on the way."""
        for config in self.found.fitting:  # grows inside the loop
            if self.enough:
                return
            self.look(list(_neighbours(self._space, config)))

    @property
    def enough(self) -> bool:
        return len(self.found.fitting) >= FEW or self.found.counted >= _MOST


def find(space: SearchSpace, counter: Counter, limits: Mapping[str, float]) -> FeasibleConfigs:
    """Finds configurations within limits: by counting all of a small space, else by descending in cost.

    Args:
        space: The search space.
        counter: Counts its configurations.
        limits: Upper limits of counted costs, at least one.
    """
    search = _Search(space, counter, limits)
    if space.size <= _LISTED:
        search.look(list(space.enumerate()))
        search.found.every = True
        return search.found
    points = [*space.points.values(), *space.sample(_SAMPLE, _SEED)]
    best = search.look(points)
    if search.enough:
        return search.found
    best = sorted([*best, *search.look([config for _, config in corners(space)])], key=lambda pair: pair[0])
    for excess, config in best[:_STARTS]:
        search.descend(config, excess)
    search.spread()
    return search.found


def refuse_none(
    found: FeasibleConfigs, limits: Mapping[str, float], given: Mapping[str, tuple[str, str]], network: str
) -> None:
    """Refuses limits that nothing was found to keep.

    Args:
        found: The configurations found.
        limits: The limits.
        given: The setting and its value as the user wrote it, by cost.
        network: Whose costs count.

    Raises:
        UserError: If there is none; it names the lowest cost found.
    """
    if found.fitting:
        return
    looked = "there is" if found.every else f"found in {counted(found.counted, 'configuration')}"
    beyond = [name for name in limits if found.least.get(name, math.inf) > limits[name]]
    first = next(iter(limits))
    if not any(math.isfinite(value) for value in found.least.values()):
        raise SettingError(given[first][0], None, "no network of the space can be built")
    for name in beyond:
        least = format_cost(name, found.least[name])
        raise SettingError(
            *given[name],
            f"nothing is so small; the least {looked} has {least} {title(name)} (network {network})",
        )
    costs = " and ".join(f"{format_cost(name, found.nearest[name])} {title(name)}" for name in limits)
    raise SettingError(
        *given[first],
        f"nothing keeps all limits at once; the nearest {looked} has {costs} (network {network})",
    )


def _neighbours(space: SearchSpace, config: Config) -> Iterator[Config]:
    """Yields the configurations that differ in one choice."""
    for name, hp in space.hyperparameters.items():
        for value in _values(hp, config.get(name)) if name in config else ():
            try:
                yield completed(space, {**config, name: value})
            except Exception:
                continue


def _values(hp: Parameter, now: object) -> list[object]:
    """Returns other values of a hyperparameter: all choices; of a range ends, midpoints and neighbours."""
    if isinstance(hp, Hyperparameter):
        return [choice for choice in hp.choices if choice != now]
    assert isinstance(now, (int, float))
    whole = isinstance(now, int)
    step = 1 if whole else (hp.upper - hp.lower) / _STEPS
    beside = [max(now - step, hp.lower), min(now + step, hp.upper)]
    between = [(now + end) / 2 for end in (hp.lower, hp.upper)]
    found = [hp.lower, hp.upper, *(round(value) if whole else value for value in between), *beside]
    return [value for value in dict.fromkeys(found) if value != now]
