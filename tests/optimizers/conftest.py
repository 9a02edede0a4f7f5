"""Search spaces, a known objective and a small engine for the optimisers' tests."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

import search_spaces
from nas.optimizers.protocol import Optimizer, Outcome, Suggestion
from search_spaces.base import Config, Hyperparameter, SearchSpace


def true_error(config: Config) -> float:
    """A known error over the nexception space, with its optimum away from the named points."""
    error = 0.3 + 0.01 * abs(int(config["kernel_down"]) - 7) + 0.012 * abs(int(config["kernel_mid"]) - 7)
    error += {"blur": 0.0, "conv": 0.02, "max": 0.04}[str(config["pool"])]
    error += {"celu": 0.0, "elu": 0.01, "gelu": 0.03, "relu": 0.05}[str(config["activation"])]
    error += 0.06 * (config["stem"] == "conv") + 0.03 * (not config["bottleneck"]) + 0.02 * (not config["se"])
    error += 0.02 * len(str(config["norm_positions"])) + 0.02 * len(str(config["activation_positions"]))
    return error + 0.05 * (config["norm"] == "layer" and not config["bottleneck"])


def measured_error(config: Config, epochs: int, seed: int = 0) -> float:
    """The known error as a trial would see it: worse for few epochs, and noisy."""
    noise = random.Random(f"{seed}/{epochs}/{sorted(config.items())}")
    return min(true_error(config) + 0.25 * (1 + 0.3 * noise.gauss(0, 1)) / epochs**0.7, 1.0)


@dataclass
class Driver:
    """Runs trials in a made-up order and keeps the record of calls a journal would keep."""

    optimizer: Optimizer
    objective: Callable[[Config, int], float | None] = measured_error
    pending: list[Suggestion] = field(default_factory=list)
    record: list[tuple[Suggestion, Outcome | None]] = field(default_factory=list)
    clock: float = 0.0

    def ask(self, *, speculative: bool = False) -> Suggestion | None:
        suggestion = self.optimizer.ask(speculative=speculative)
        if suggestion is not None:
            self.pending.append(suggestion)
            self.record.append((suggestion, None))
        return suggestion

    def tell(self, index: int = 0) -> Outcome:
        suggestion = self.pending.pop(index)
        error = self.objective(suggestion.config, suggestion.epochs)
        start, self.clock = self.clock, self.clock + suggestion.epochs
        outcome = Outcome(error, float(suggestion.epochs), start, self.clock, reason="" if error else "boom")
        self.optimizer.tell(suggestion, outcome)
        self.record.append((suggestion, outcome))
        return outcome

    def serial(self, trials: int) -> list[Suggestion]:
        """Runs one trial at a time until so many were asked or the space is exhausted."""
        asked = []
        while len(asked) < trials and (suggestion := self.ask()) is not None:
            asked.append(suggestion)
            self.tell()
        return asked

    def replay_into(self, optimizer: Optimizer, calls: int | None = None) -> None:
        """Feeds the record, or its beginning, to a fresh optimiser."""
        for suggestion, outcome in self.record[:calls]:
            if outcome is None:
                optimizer.replay(suggestion)
            else:
                optimizer.tell(suggestion, outcome)


class GridSpace(SearchSpace):
    """All combinations of some choices; nothing can be built from it."""

    title = "made up"
    presets: dict[str, int] = {}  # noqa: RUF012

    def __init__(self, **choices: tuple[Any, ...]) -> None:
        self.name = "grid"  # type: ignore[misc]
        self.hyperparameters = {  # type: ignore[misc]
            name: Hyperparameter(
                name, values, values[0], "made up", "none", ordinal=isinstance(values[0], int)
            )
            for name, values in choices.items()
        }

    @property
    def points(self) -> dict[str, Config]:
        return {"first": self.default}

    def reduced(self, width: int, image_size: int = 32) -> Any:
        raise NotImplementedError

    def build(self, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError


@pytest.fixture(scope="session")
def space() -> SearchSpace:
    return search_spaces.get("nexception")


@pytest.fixture(scope="session")
def grid() -> type[GridSpace]:
    return GridSpace


@pytest.fixture(scope="session")
def driver() -> type[Driver]:
    return Driver


@pytest.fixture(scope="session")
def truth() -> Callable[[Config], float]:
    return true_error


@pytest.fixture(scope="session")
def measured() -> Callable[..., float]:
    return measured_error


@pytest.fixture
def few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the forest cheap where only its determinism matters."""
    from nas.optimizers.smac import forest

    monkeypatch.setattr(forest, "_TREES", 4)
