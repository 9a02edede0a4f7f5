"""Ways to choose that are not settings of the search: what was tried, so that anyone can try it again.

Each takes a number: ``cost=0.5`` divides expected improvement by the square root of the expected seconds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.stats import norm
from smac.acquisition.function import EI
from smac.initial_design import SobolInitialDesign

from benchmarks.quality.opponents import ours
from nas.execution.simulated import SimulatedResult
from nas.optimizers import create
from nas.optimizers.smac.kernel import correlation

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from smac.model import AbstractModel

    from benchmarks.quality.opponent_base import OptimizerFactory
    from benchmarks.quality.race import Problem
    from nas.optimizers.protocol import Fidelity, Optimizer, Outcome, Suggestion
    from search_spaces.base import Config, SearchSpace

    Vector = NDArray[np.float64]
    Build = Callable[[float, Problem, int], tuple[Problem, OptimizerFactory]]

_RIDGE = 1.0


class _Criterion(EI):
    """A criterion over the model's mean and standard deviation."""

    _model: AbstractModel
    _eta: float

    def __init__(self, weight: float, seed: int) -> None:
        super().__init__()
        self._weight = weight
        self._seed = seed

    def _update(self, **kwargs: Any) -> None:
        super()._update(**kwargs)
        self._finished = int(kwargs["finished"])

    def _predicted(self, X: Vector) -> tuple[Vector, Vector]:
        mean, variance = self._model.predict_marginalized(X)
        return mean, np.sqrt(variance)


class LowerBound(_Criterion):
    """The mean minus a number of standard deviations (GP-UCB, arXiv 0912.3995)."""

    def _compute(self, X: Vector) -> Vector:
        mean, deviation = self._predicted(X)
        return np.asarray(self._weight * deviation - mean)


class Probability(_Criterion):
    """Probability of beating the best by a number of standard deviations of noise."""

    def _compute(self, X: Vector) -> Vector:
        mean, deviation = self._predicted(X)
        return np.asarray(norm.cdf((self._eta - mean) / deviation - self._weight))


class Thompson(_Criterion):
    """A draw of the model at the first pool; later pools are not looked at."""

    def _update(self, **kwargs: Any) -> None:
        super()._update(**kwargs)
        self._rng = np.random.default_rng([self._seed, self._finished])
        self._drawn = False

    def _compute(self, X: Vector) -> Vector:
        if self._drawn:
            return np.full((len(X), 1), -np.inf)
        self._drawn = True
        return -_draw(self._model, X, self._rng)[:, None]


def _draw(model: Any, X: Vector, rng: np.random.Generator) -> Vector:
    """Errors ``(N,)`` drawn together from a :class:`nas.optimizers.smac.gaussian_process.GaussianProcess`."""
    points = model._kernel.points(X, model._decay)
    explained = model._whitened(model._covariance(X))
    covariance = model._signal * correlation(points, points) - explained @ explained.T
    root = np.linalg.cholesky(covariance + 1e-6 * np.eye(len(X)))
    return np.asarray(model.means(X) + model._scale * (root @ rng.standard_normal(len(X))))


class Frugal(_Criterion):
    """Expected improvement divided by a power of expected seconds (arXiv 1206.2944, section 3.2).

    Seconds are predicted by a ridge regression of their logarithm on the choices.
    """

    def __init__(self, power: float, space: SearchSpace) -> None:
        super().__init__(power, 0)
        self._sizes = [len(space.hyperparameters[name].choices) for name in space.configspace()]
        self._rows: list[Vector] = []
        self._logs: list[float] = []

    def note(self, row: Vector, seconds: float) -> None:
        """Records how long a trial's epoch took."""
        self._rows.append(self._coded(row[None])[0])
        self._logs.append(float(np.log(seconds)))

    def _compute(self, X: Vector) -> Vector:
        A, y = np.array(self._rows), np.array(self._logs)
        slopes = np.linalg.solve(A.T @ A + _RIDGE * np.eye(A.shape[1]), A.T @ (y - y.mean()))
        seconds = np.exp(self._coded(X) @ slopes)
        return np.asarray(super()._compute(X)) / seconds[:, None] ** self._weight

    def _coded(self, rows: Vector) -> Vector:
        parts = [rows[:, [d]] == np.arange(size) for d, size in enumerate(self._sizes)]
        return np.concatenate(parts, axis=1).astype(np.float64)


class Stopping:
    """A problem whose trials at the highest rung end half-way if they have fallen behind the best.

    Half-way, a trial is compared with what the best configuration had there. If it is worse by more than
    the slack, it ends there, for half the seconds, with the error that trials like it went on to, and
    never as the best.
    """

    def __init__(self, problem: Problem, slack: float) -> None:
        self._problem, self._slack = problem, slack
        self.space, self.fidelity, self.optimum = problem.space, problem.fidelity, problem.optimum
        self.true_error = problem.true_error
        self._finished: list[tuple[float, float]] = []  # errors half-way and in the end

    def __call__(self, config: Config, epochs: int, seed: int) -> SimulatedResult:
        """Answers for a training, or for its first half."""
        answer = self._problem(config, epochs, seed)
        *_, below, top = (0, *self.fidelity.rungs)
        half = (below + top) // 2
        if epochs != top:
            return answer
        errors = [float(error or 0.0) for error in answer.errors]
        best = min(self._finished, key=lambda pair: pair[1], default=None)
        if best is None or errors[half - 1] <= best[0] + self._slack:
            self._finished.append((errors[half - 1], errors[-1]))
            return answer
        gain = float(np.mean([middle - end for middle, end in self._finished]))
        end = max(errors[half - 1] - gain, best[1] + 1e-6)
        return SimulatedResult((*answer.errors[:-1], end), answer.seconds * (half - below) / (top - below))


def _criterion(kind: type[_Criterion]) -> Build:
    def build(weight: float, problem: Problem, seed: int) -> tuple[Problem, OptimizerFactory]:
        return problem, _with(lambda _: kind(weight, seed))

    return build


def _with(criterion: Callable[[SearchSpace], _Criterion]) -> OptimizerFactory:
    """The default search with another criterion."""

    def make(space: SearchSpace, fidelity: Fidelity, seed: int) -> Optimizer:
        optimizer: Any = create("smac", space, fidelity, seed)
        chosen = criterion(space)
        optimizer._selector._acquisition_function = chosen
        optimizer._selector._acquisition_maximizer._acquisition_function = chosen
        return optimizer

    return make


def _cost(power: float, problem: Problem, seed: int) -> tuple[Problem, OptimizerFactory]:
    del seed

    def make(space: SearchSpace, fidelity: Fidelity, seed: int) -> Optimizer:
        frugal = Frugal(power, space)
        optimizer: Any = _with(lambda _: frugal)(space, fidelity, seed)
        tell = optimizer.tell

        def noting(suggestion: Suggestion, outcome: Outcome) -> None:
            if suggestion.epochs == fidelity.rungs[0] and outcome.seconds > 0:  # 0: answered from the record
                frugal.note(optimizer._candidates.encode(suggestion.config).get_array(), outcome.seconds)
            tell(suggestion, outcome)

        optimizer.tell = noting
        return optimizer

    return problem, make


def _stop(slack: float, problem: Problem, seed: int) -> tuple[Problem, OptimizerFactory]:
    del seed
    return Stopping(problem, slack), ours()


def _sobol(n: float, problem: Problem, seed: int) -> tuple[Problem, OptimizerFactory]:
    del seed

    def make(space: SearchSpace, fidelity: Fidelity, seed: int) -> Optimizer:
        optimizer: Any = create("smac", space, fidelity, seed)
        scenario = optimizer._facade.scenario
        design = SobolInitialDesign(scenario, n_configs=int(n) - 1, max_ratio=1.0, seed=seed)
        spread = [optimizer._candidates.encode(dict(c), "sobol") for c in design.select_configurations()]
        known = optimizer._selector._initial_design_configs
        optimizer._selector._initial_design_configs = list(dict.fromkeys([known[0], *spread]))
        return optimizer

    return problem, make


def _belief(choices: float, problem: Problem, seed: int) -> tuple[Problem, OptimizerFactory]:
    """Builds a prior for a number of choices of the best configuration; if negative, of the worst one."""
    sign = 1 if choices > 0 else -1
    known = min(problem.space.enumerate(), key=lambda config: sign * problem.true_error(config))
    names = np.random.default_rng(seed).permutation(list(known))[: abs(int(choices))]
    text = ",".join(f"{name}={_text(known[name])}" for name in names)
    return problem, ours(prior=text)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


VARIANTS: dict[str, Build] = {
    "bound": _criterion(LowerBound),
    "probability": _criterion(Probability),
    "thompson": _criterion(Thompson),
    "cost": _cost,
    "stop": _stop,
    "sobol": _sobol,
    "belief": _belief,
}


def build(change: str, problem: Problem, seed: int) -> tuple[Problem, OptimizerFactory] | None:
    """Problem and maker of a variant such as ``cost=0.5``; None if it is none of these."""
    name, _, number = change.partition("=")
    return VARIANTS[name](float(number or 1), problem, seed) if name in VARIANTS else None
