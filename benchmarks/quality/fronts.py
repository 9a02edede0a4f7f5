"""Errors and costs together: problems with a known front, and races judged by it in simulated time."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from itertools import product
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from nas.optimizers.objectives import Costs
from nas.optimizers.protocol import Outcome
from nas.optimizers.smac.hypervolume import hypervolume
from nas.optimizers.smac.pareto import nondominated, reference
from nas.util.seeds import derive
from search_spaces.base import config_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from benchmarks.quality.race import Problem
    from nas.optimizers.protocol import Fidelity, Optimizer
    from search_spaces.base import Config, SearchSpace

    Vector = NDArray[np.float64]

PROBLEMS = ("nasbench201-latency", "nasbench201-params", "nexception-macs", "drawn")
MISLEADING = ("opposed", "unrelated", "weak")  # drawn functions whose low rungs do
_COUNTED_AT = ("stem", "kernel_down", "kernel_mid", "pool", "bottleneck", "se")  # what MACs depend on
_WIDTH, _IMAGE = 16, 32  # of the table's networks
_REPEATS = 50  # in a row, which cost nothing: the end of a race
_SHARED = 0.5  # of a drawn cost's variance that goes against the error


class FrontOptimizerFactory(Protocol):
    """Makes an optimiser that has seen nothing; ``costs`` are what it may weigh."""

    def __call__(self, space: SearchSpace, fidelity: Fidelity, seed: int, costs: Costs) -> Optimizer:
        """Makes it."""
        ...


@dataclass(frozen=True)
class FrontProblem:
    """A problem whose configurations have a cost as well.

    Attributes:
        problem: Answers for trainings.
        cost_name: What the cost is called.
        cost: Of a configuration.
        errors: True errors of all configurations ``(N,)``.
        costs: Theirs, in the same order ``(N,)``.
    """

    problem: Problem
    cost_name: str
    cost: Callable[[Config], float]
    errors: Vector
    costs: Vector

    @cached_property
    def points(self) -> Vector:
        """Error and logarithm of the cost ``(N, 2)``."""
        return np.column_stack([self.errors, np.log(self.costs)])

    @cached_property
    def reference(self) -> Vector:
        """Up to where volume counts: a tenth of the true front's extent beyond its worst."""
        front = self.points[nondominated(self.points)]
        return reference(front, np.full(2, np.inf))

    @cached_property
    def volume(self) -> float:
        """Of the true front."""
        return hypervolume(self.points[nondominated(self.points)], self.reference)

    def missing(self, found: Sequence[tuple[float, float]]) -> float:
        """Share of the true front's hypervolume that points of true error and cost do not dominate."""
        points = np.array([(error, np.log(cost)) for error, cost in found]).reshape(-1, 2)
        return 1 - hypervolume(points, self.reference) / self.volume

    def known(self, configs: Sequence[Config]) -> list[Mapping[str, float]]:
        """Costs that are told before a training."""
        return [{self.cost_name: self.cost(config)} for config in configs]

    def limit(self, share: float) -> float:
        """The cost that a share of all configurations keeps."""
        return float(np.quantile(self.costs, share))

    def best(self, limit: float) -> float:
        """The least true error within a limit."""
        return float(np.min(self.errors[self.costs <= limit]))


@dataclass(frozen=True)
class Finished:
    """A configuration at the highest rung.

    Attributes:
        paid: Full evaluations by then.
        measured: Its error as measured.
        error: Its true error.
        cost: Its cost.
    """

    paid: float
    measured: float
    error: float
    cost: float


def race(
    problem: FrontProblem,
    maker: FrontOptimizerFactory,
    *,
    seed: int,
    evaluations: float,
    limit: float | None = None,
) -> list[Finished]:
    """Runs one search, a trial at a time; gives what was finished.

    Args:
        problem: What answers.
        maker: Makes the optimiser.
        seed: Of optimiser and trainings.
        evaluations: Simulated time, in mean trainings at the highest rung.
        limit: Of the cost, which is no objective then.
    """
    table = problem.problem
    objectives = () if limit is not None else (problem.cost_name,)
    limits = {} if limit is None else {problem.cost_name: limit}
    costs = Costs(objectives, limits, problem.known)
    optimizer = maker(table.space, table.fidelity, derive(seed, "optimizer"), costs)
    trained: dict[str, int] = {}
    found, clock, repeats = [], 0.0, 0
    while clock < evaluations and repeats < _REPEATS and (asked := optimizer.ask()) is not None:
        name, cost = config_id(asked.config), problem.cost(asked.config)
        answer = table(asked.config, asked.epochs, derive(seed, "train", name))
        seconds = answer.seconds * max(asked.epochs - trained.get(name, 0), 0)
        repeats = 0 if seconds else repeats + 1
        trained[name] = asked.epochs
        begin, clock = clock, clock + seconds / table.optimum.full_seconds
        error = answer.errors[asked.epochs - 1]
        assert error is not None
        below = [rung for rung in table.fidelity.rungs if rung < asked.epochs]
        curve = {rung: known for rung in below if (known := answer.errors[rung - 1]) is not None}
        metrics = {problem.cost_name: cost}
        optimizer.tell(asked, Outcome(error, seconds, begin, clock, metrics, curve=curve))
        if asked.epochs == table.fidelity.max_epochs:
            found.append(Finished(clock, error, table.true_error(asked.config), cost))
    return found


def missing_at(problem: FrontProblem, found: Sequence[Finished], mark: float) -> float:
    """Missing hypervolume after so many full evaluations, of the front by measured errors."""
    done = [f for f in found if f.paid <= mark]
    points = np.array([(f.measured, f.cost) for f in done]).reshape(-1, 2)
    front = np.flatnonzero(nondominated(points))
    return problem.missing([(done[i].error, done[i].cost) for i in front])


def regret_at(problem: FrontProblem, found: Sequence[Finished], mark: float, limit: float) -> float:
    """Regret of the best measured within a limit; before there is one, that of the first."""
    fitting = [f for f in found if f.cost <= limit]
    done = [f for f in fitting if f.paid <= mark] or fitting[:1]
    if not done:
        return float(np.max(problem.errors)) - problem.best(limit)
    return min(done, key=lambda f: f.measured).error - problem.best(limit)


def load(name: str, seed: int = 0) -> FrontProblem:
    """A problem by its name; ``seed``: which of those that are drawn.

    Raises:
        UserError: If what it needs is not installed.
    """
    return _drawn(name, seed) if name in ("drawn", *MISLEADING) else _fixed(name)


@cache
def _fixed(name: str) -> FrontProblem:
    return _nexception() if name == "nexception-macs" else _nasbench201(name.partition("-")[2])


def _nasbench201(cost_name: str) -> FrontProblem:
    from benchmarks.quality.problems import NASBench201

    column = {"latency": "latency", "params": "model_size"}[cost_name]
    table = NASBench201()

    def cost(config: Config) -> float:
        return float(np.mean(table._row(config)[column]))

    configs = list(table.space.enumerate())
    errors = np.array([table.true_error(config) for config in configs])
    return FrontProblem(table, cost_name, cost, errors, np.array([cost(config) for config in configs]))


def _nexception() -> FrontProblem:
    from benchmarks.quality import registry

    table = registry.load("nexception")
    counts = _macs(table.space)

    def cost(config: Config) -> float:
        return counts[tuple(config[name] for name in _COUNTED_AT)]

    configs = list(table.space.enumerate())
    errors = np.array([table.true_error(config) for config in configs])
    return FrontProblem(table, "macs", cost, errors, np.array([cost(config) for config in configs]))


def _macs(space: SearchSpace) -> dict[tuple[Any, ...], float]:
    """Multiply-accumulates of the table's networks, by the choices that they depend on."""
    import torch

    import search_spaces
    from nas.util.counts import count

    real = search_spaces.get(space.name)
    geometry = real.reduced(_WIDTH, _IMAGE)
    choices = [real.hyperparameters[name].choices for name in _COUNTED_AT]
    found = {}
    for values in product(*choices):
        config = {**real.default, **dict(zip(_COUNTED_AT, values, strict=True))}
        with torch.device("meta"):
            model = real.network(config, geometry, 10)
        found[values] = float(count(model, _IMAGE).macs)
    return found


@lru_cache(maxsize=1)
def _drawn(name: str, seed: int) -> FrontProblem:
    from benchmarks.quality import drawn, registry

    table = registry.load(name, seed)
    _, codes = drawn.coded()
    errors = np.array(table.rungs[-1], dtype=np.float64)
    own = drawn._field(codes, np.random.default_rng((seed, 1)))
    against = -(errors - errors.mean()) / errors.std()
    costs = np.exp(np.sqrt(1 - _SHARED) * own + np.sqrt(_SHARED) * against)

    def cost(config: Config) -> float:
        return float(costs[table.index[config_id(config)]])

    return FrontProblem(table, "macs", cost, errors, costs)
