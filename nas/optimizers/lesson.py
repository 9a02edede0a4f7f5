"""What the model learns: every configuration once, with the error it would have at the highest rung."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from nas.optimizers.candidates import key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

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


class Evidence:
    """Finished trials by configuration; a lesson is drawn from all rungs at once.

    Most configurations are only seen at low rungs. From those that were promoted one sees how errors
    go on from rung to rung: by a straight line, held near slope 1 while there are few. Promotion
    selects by the lower error alone, so the line is not biased by it. A crashed configuration counts
    as the worst, whatever rung it crashed at; it is never promoted, so a model of high rungs only
    would propose the like again and again.

    Attributes:
        finished: Trials so far.
        succeeded: Those among them that did not crash.
    """

    def __init__(self, rungs: Sequence[int]) -> None:
        """Starts with nothing; ``rungs`` are the epochs there are, lowest first."""
        self.finished, self.succeeded = 0, 0
        self._rungs = {epochs: k for k, epochs in enumerate(rungs)}
        self._places: dict[bytes, int] = {}
        self._rows: list[Vector] = []
        self._errors: list[list[float]] = []  # by configuration and rung, NaN where there is none
        self._crashed: list[bool] = []

    def add(self, row: Vector, epochs: int, error: float | None) -> None:
        """Takes a finished trial; ``error`` None: it crashed."""
        place = self._places.setdefault(key(row), len(self._rows))
        if place == len(self._rows):
            self._rows.append(row)
            self._errors.append([np.nan] * len(self._rungs))
            self._crashed.append(False)
        self.finished += 1
        if error is None:
            self._crashed[place] = True
        else:
            self.succeeded += 1
            self._errors[place][self._rungs[epochs]] = error

    def lesson(self) -> Lesson:
        """Draws the lesson; there must be a finished trial."""
        errors = np.array(self._errors)
        alive = ~np.array(self._crashed)
        foreseen, variances = np.zeros(len(alive)), np.zeros(len(alive))
        foreseen[alive], variances[alive] = _foresee(errors[alive])
        foreseen[~alive] = foreseen[alive].max() if alive.any() else 1.0
        return Lesson(np.array(self._rows), foreseen, variances)


def _foresee(curves: Vector) -> tuple[Vector, Vector]:
    """Errors at the highest rung seen by anyone, and their variances.

    Args:
        curves: Errors by configuration and rung ``(N, R)``, NaN where there are none.
    """
    seen = np.isfinite(curves)
    rungs = np.flatnonzero(seen.any(0))
    spread = float(np.var(curves[np.arange(len(curves)), seen.argmax(1)])) if len(curves) else 0.0
    errors, variances = np.full(len(curves), np.nan), np.zeros(len(curves))
    for k, rung in enumerate(rungs):
        if k:
            both = seen[:, rungs[k - 1]] & seen[:, rung]
            line = _fit(curves[both, rungs[k - 1]], curves[both, rung], _UNEXPLAINED * spread)
            intercept, slope, residual = line
            errors, variances = intercept + slope * errors, slope**2 * variances + residual
        errors = np.where(seen[:, rung], curves[:, rung], errors)
        variances[seen[:, rung]] = 0.0
    return errors, variances


def _fit(low: Vector, high: Vector, prior_variance: float) -> tuple[float, float, float]:
    """Intercept, slope and residual variance of a line from one rung to the next."""
    if not len(low):
        return 0.0, 1.0, prior_variance
    x, y = low - low.mean(), high - high.mean()
    weight = max(_PRIOR_PAIRS * prior_variance, 1e-12)
    slope = float((x @ y + weight) / (x @ x + weight))
    residual = y - slope * x
    variance = (residual @ residual + weight) / (len(low) + _PRIOR_PAIRS)
    return float(high.mean() - slope * low.mean()), slope, float(variance)
