"""Optimisers that change what is good a little: a local search and regularised evolution.

Both know full trainings only.
"""

from __future__ import annotations

import random
from collections import deque
from typing import TYPE_CHECKING

from benchmarks.quality.opponent_base import OpponentBase, drawn
from nas.optimizers.protocol import Suggestion
from search_spaces.base import Float, Integer, config_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nas.optimizers.protocol import Fidelity, Outcome
    from search_spaces.base import Config, Parameter, SearchSpace, Value

_STEP = 0.2  # standard deviation of a change of a number, of its range
_TRIES = 4  # neighbours a number has; both as in SMAC's local search (arXiv 2109.09831)
_POPULATION, _SAMPLE = 20, 5  # a fifth of the paper's 100 and 25, for a hundredth of its trainings
_CRASHED = 1.0


def exchanges(config: Config, space: SearchSpace, rng: random.Random) -> list[Config]:
    """All configurations that differ in one choice, and some in one number, in random order."""
    found = [
        {**config, name: value}
        for name, parameter in space.hyperparameters.items()
        for value in _others(parameter, config[name], rng)
    ]
    rng.shuffle(found)
    return found


def _others(parameter: Parameter, value: Value, rng: random.Random) -> list[Value]:
    if not isinstance(parameter, Float | Integer):
        return [choice for choice in parameter.choices if choice != value]
    span = parameter.upper - parameter.lower
    moved = [rng.gauss(float(value), _STEP * span) for _ in range(_TRIES)]
    inside = [min(max(number, parameter.lower), parameter.upper) for number in moved]
    if isinstance(parameter, Integer):
        return [*sorted({round(number) for number in inside} - {int(value)})]
    return [*inside]


class LocalSearch(OpponentBase):
    """One exchange at a time from the default, keeping what is better; from a random place when stuck."""

    def __init__(self, space: SearchSpace, fidelity: Fidelity, seed: int) -> None:
        self._space, self._epochs = space, fidelity.max_epochs
        self._rng = random.Random(seed)
        self._starts = drawn(space, seed)
        self._here: Config | None = None
        self._error = _CRASHED
        self._next: Iterator[Config] = iter([space.default])
        self._began = True  # the next answer is that of a new place

    def ask(self, *, speculative: bool = False) -> Suggestion | None:
        """The next neighbour, or a new place to start from."""
        if speculative:
            return None
        config = next(self._next, None)
        if config is None:
            config, self._began = next(self._starts, None), True
        return None if config is None else Suggestion(config, self._epochs, "exchange")

    def tell(self, suggestion: Suggestion, outcome: Outcome) -> None:
        """Moves on if it is better than here."""
        error = _CRASHED if outcome.error is None else outcome.error
        if self._began or error < self._error:
            self._here, self._error, self._began = suggestion.config, error, False
            self._next = iter(exchanges(suggestion.config, self._space, self._rng))


class Evolution(OpponentBase):
    """Regularised evolution (arXiv 1802.01548): the best of a sample is changed, the oldest dies."""

    def __init__(self, space: SearchSpace, fidelity: Fidelity, seed: int) -> None:
        self._space, self._epochs = space, fidelity.max_epochs
        self._rng = random.Random(seed)
        self._first = drawn(space, seed)
        self._alive: deque[tuple[float, str, Config]] = deque(maxlen=_POPULATION)

    def ask(self, *, speculative: bool = False) -> Suggestion | None:
        """A random configuration until the population is there, then a child."""
        if speculative:
            return None
        first = next(self._first, None) if len(self._alive) < _POPULATION else None
        if first is not None:
            return Suggestion(first, self._epochs, "random")
        sample = [self._rng.choice(self._alive) for _ in range(_SAMPLE)]
        _, _, parent = min(sample, key=lambda one: one[:2])
        return Suggestion(exchanges(parent, self._space, self._rng)[0], self._epochs, "child")

    def tell(self, suggestion: Suggestion, outcome: Outcome) -> None:
        """Takes the child in."""
        error = _CRASHED if outcome.error is None else outcome.error
        self._alive.append((error, config_id(suggestion.config), suggestion.config))
