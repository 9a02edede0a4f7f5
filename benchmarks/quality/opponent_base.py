"""What the wrappers of others' optimisers share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nas.optimizers.protocol import Fidelity, Optimizer, Outcome, Suggestion
    from search_spaces.base import Config, SearchSpace

_REPEATS = 50  # suggestions in a row that were answered before


class OptimizerFactory(Protocol):
    """Makes an optimiser that has seen nothing."""

    def __call__(self, space: SearchSpace, fidelity: Fidelity, seed: int) -> Optimizer:
        """Makes it."""
        ...


class OpponentBase:
    """What a race needs beside ask and tell. It neither resumes nor runs trials in parallel."""

    def replay(self, suggestion: Suggestion) -> None:
        """Not needed in a race."""
        raise NotImplementedError

    def tell_repeat(self, config: Config, epochs: int, error: float) -> None:
        """Others are not told of further seeds."""

    def lowest_rung(self) -> int:
        """Others say nothing of rungs."""
        return 0

    def promotable(self) -> set[str]:
        """Checkpoints are simulated."""
        return set()

    def save(self, folder: Path) -> None:
        """Nothing to save."""


class RepeatLimit(OpponentBase):
    """Ends a race of an optimiser that suggests nothing new any more.

    Answers from the record cost nothing, so that one that goes round in a small space would never end.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer
        self._repeats = 0

    def ask(self, *, speculative: bool = False) -> Suggestion | None:
        """Asks, unless all of the last suggestions were repeats."""
        if self._repeats >= _REPEATS:
            return None
        return self._optimizer.ask(speculative=speculative)

    def tell(self, suggestion: Suggestion, outcome: Outcome) -> None:
        """Tells, and counts repeats."""
        self._repeats = self._repeats + 1 if outcome.seconds == 0 else 0
        self._optimizer.tell(suggestion, outcome)


def with_repeat_limit(maker: OptimizerFactory) -> OptimizerFactory:
    """Makes the same optimiser, but one that gives up after many repeats."""

    def make(space: SearchSpace, fidelity: Fidelity, seed: int) -> Optimizer:
        return RepeatLimit(maker(space, fidelity, seed))

    return make


def drawn(space: SearchSpace, seed: int) -> Iterator[Config]:
    """All configurations in random order, a few at a time."""
    done, n = 0, 64
    while done < space.size:
        configs = space.sample(n, seed)
        yield from configs[done:]
        done, n = len(configs), 2 * n
