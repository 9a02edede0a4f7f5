"""Search spaces, a known objective and a small engine for the optimisers' tests."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
from ConfigSpace import (
    Categorical,
    ConfigurationSpace,
    Constant,
    Float,
    Integer,
    OrdinalHyperparameter,
)

import search_spaces
from nas.optimizers.objectives import Costs
from nas.optimizers.protocol import Optimizer, Outcome, Suggestion
from search_spaces.base import Config, Hyperparameter, SearchSpace, config_id


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


def counted(config: Config) -> dict[str, float]:
    """Counted costs over the nexception space, from 46 to 713 million MACs."""
    kernels = int(config["kernel_mid"]) ** 2 * (2 if config["bottleneck"] else 1)
    kernels += 3 * int(config["kernel_down"]) ** 2
    extras = 30 * bool(config["se"]) + 20 * (config["stem"] == "conv")
    extras += {"relu": 0, "gelu": 5, "elu": 4, "celu": 3}[str(config["activation"])]
    return {"macs": 1e6 * (10 + kernels + extras), "params": 1e5 * (10 + kernels + 10 * bool(config["se"]))}


def cost_of(config: Config) -> dict[str, float]:
    """All costs over the nexception space, the measured one too."""
    noise = random.Random(f"{sorted(config.items())}").gauss(0, 1)
    macs = counted(config)["macs"]
    return {
        **counted(config),
        "latency": macs * (1.5 if config["pool"] == "blur" else 1) * (1 + 0.02 * noise),
    }


def some_costs(*objectives: str, **limits: float) -> Costs:
    """Costs of the nexception space: ``macs`` and ``params`` are counted, ``latency`` is measured."""
    return Costs(objectives, limits, lambda configs: [counted(c) for c in configs], ("latency",))


@dataclass
class Driver:
    """Runs trials in a made-up order and keeps the record of calls a journal would keep."""

    optimizer: Optimizer
    objective: Callable[[Config, int], float | None] = measured_error
    costs: Callable[[Config], dict[str, float]] = lambda config: {}
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
        metrics = self.costs(suggestion.config) if error else {}
        outcome = Outcome(
            error, float(suggestion.epochs), start, self.clock, metrics, reason="" if error else "boom"
        )
        self.optimizer.tell(suggestion, outcome)
        self.record.append((suggestion, outcome))
        return outcome

    def serial(self, trials: int) -> list[Suggestion]:
        """Runs one trial at a time until ``trials`` were asked or the space is exhausted."""
        asked: list[Suggestion] = []
        while len(asked) < trials and (suggestion := self.ask()) is not None:
            asked.append(suggestion)
            self.tell()
        return asked

    def exhaust(self, depth: int) -> set[str]:
        """Asks and tells until nothing is left, with up to ``depth`` trials pending; returns those asked."""
        rng, idle = random.Random(depth), 0
        while idle < 2:
            if len(self.pending) < depth and self.ask() is not None:
                idle = 0
            elif self.pending:
                self.tell(rng.randrange(len(self.pending)))
            else:
                idle += 1
        return {config_id(suggestion.config) for suggestion, _ in self.record}

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
    presets: ClassVar[dict[str, int]] = {}

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
def costs() -> Callable[..., Costs]:
    return some_costs


@pytest.fixture(scope="session")
def costs_of() -> Callable[[Config], dict[str, float]]:
    return cost_of


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


@pytest.fixture(scope="module")
def mixed() -> ConfigurationSpace:
    space = ConfigurationSpace(name="mixed")
    space.add(Integer("layers", (1, 7)), Integer("width", (1, 100_000), log=True), Integer("many", (1, 40)))
    space.add(Float("rate", (1e-4, 1.0), log=True), Categorical("act", ["relu", "gelu", "elu"]))
    space.add(
        OrdinalHyperparameter("kernel", [3, 5, 7, 9]),
        Constant("classes", 10),
        Categorical("se", [True, False]),
    )
    return space
