"""What the model learns: every configuration once, with the error it would have at the highest rung."""

from __future__ import annotations

from abc import ABC, abstractmethod
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from smac.runhistory import StatusType

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from smac.runhistory import RunHistory

    Vector = NDArray[np.float64]

_PRIOR_PAIRS = 3  # configurations seen at two rungs that the prior of their relation is worth
_UNEXPLAINED = 0.3  # prior share of a rung's variance that the next rung does not share


class Lesson(NamedTuple):
    """Data for a model.

    Attributes:
        rows: Configurations ``(N, D)``.
        errors: At the highest rung, measured or foreseen ``(N,)``.
        variances: What foreseeing adds to the noise of a measurement ``(N,)``, 0 at the highest rung.
    """

    rows: Vector
    errors: Vector
    variances: Vector

    def warped(self) -> Lesson:
        """Errors on a logarithmic scale that magnifies differences among the best, as SMAC's encoder does.

        The zero of the scale lies as far below the least error as the 20th percentile lies above it.
        """
        least = float(np.min(self.errors))
        zero = least - max(np.percentile(self.errors, 20) - least, 1e-4)
        above = self.errors - zero
        return Lesson(self.rows, np.log(above), self.variances / above**2)


class Learner(ABC):
    """A model of a lesson.

    Attributes:
        _rows: The configurations it rests on ``(N, D)``.
    """

    _rows: Vector

    @abstractmethod
    def learn(self, data: Lesson, seed: int) -> None:
        """Learns anew; everything random is derived from the seed."""

    @abstractmethod
    def means(self, rows: Vector) -> Vector:
        """Expected errors ``(N,)`` of configurations ``(N, D)``."""

    def leaders(self, n: int) -> tuple[Vector, Vector]:
        """What it rests on with the least expected errors: rows ``(n, D)``, errors ``(n,)``."""
        means = self.means(self._rows)
        order = np.argsort(means, kind="stable")[:n]
        return self._rows[order], means[order]


def lesson(history: RunHistory) -> Lesson:
    """Draws the lesson from all rungs.

    Most configurations are only seen at low rungs. From those that were promoted one sees how errors
    go on from rung to rung: by a straight line, held near slope 1 while there are few. Promotion
    selects by the lower error alone, so the line is not biased by it. A crashed configuration counts
    as the worst, whatever rung it crashed at; it is never promoted, so a model of high rungs only
    would propose the like again and again.

    Args:
        history: Finished trials, at least one of them a success or a crash.
    """
    curves: dict[int, dict[float, float]] = {}
    crashed: dict[int, None] = {}
    for trial, value in history.items():
        if value.status == StatusType.SUCCESS:
            curves.setdefault(trial.config_id, {})[trial.budget] = value.cost
        elif value.status == StatusType.CRASHED:
            crashed[trial.config_id] = None
    alive = {name: curve for name, curve in curves.items() if name not in crashed}
    lines = _lines(list(alive.values()))
    foreseen = [_foresee(curve, lines) for curve in alive.values()]
    worst = max((error for error, _ in foreseen), default=1.0)
    rows = [history.get_config(name).get_array() for name in [*alive, *crashed]]
    errors, variances = zip(*foreseen, *((worst, 0.0) for _ in crashed), strict=True)
    return Lesson(np.array(rows), np.array(errors), np.array(variances))


class _Line(NamedTuple):
    """From one rung to the next."""

    above: float
    intercept: float
    slope: float
    variance: float


def _lines(curves: list[dict[float, float]]) -> dict[float, _Line]:
    budgets = sorted({budget for curve in curves for budget in curve})
    spread = float(np.var([curve[min(curve)] for curve in curves])) if curves else 0.0
    lines = {}
    for low, high in pairwise(budgets):
        pairs = [(curve[low], curve[high]) for curve in curves if low in curve and high in curve]
        lines[low] = _Line(high, *_fit(np.array(pairs).reshape(-1, 2), _UNEXPLAINED * spread))
    return lines


def _fit(pairs: Vector, prior_variance: float) -> tuple[float, float, float]:
    """Intercept, slope and residual variance."""
    if not len(pairs):
        return 0.0, 1.0, prior_variance
    low, high = pairs.T
    x, y = low - low.mean(), high - high.mean()
    weight = max(_PRIOR_PAIRS * prior_variance, 1e-12)
    slope = float((x @ y + weight) / (x @ x + weight))
    residual = y - slope * x
    variance = (residual @ residual + weight) / (len(pairs) + _PRIOR_PAIRS)
    return float(high.mean() - slope * low.mean()), slope, float(variance)


def _foresee(curve: dict[float, float], lines: dict[float, _Line]) -> tuple[float, float]:
    """Error at the highest rung seen by anyone, and its variance."""
    budget = max(curve)
    error, variance = curve[budget], 0.0
    while budget in lines:
        budget, intercept, slope, residual = lines[budget]
        error, variance = intercept + slope * error, slope**2 * variance + residual
    return error, variance
