"""Training data for the model: all measurements, with the error expected of each at the highest rung."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from nas.optimizers.smac.candidates import key
from nas.run.rungs import LATEST, judge

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from nas.run.rungs import Judgement

    Vector = NDArray[np.float64]
    Numbers = NDArray[np.int64]

_ROOM = 64  # configurations to make room for at first
_PRIOR_PAIRS = 3  # configurations seen at two rungs that the prior of their relation is worth
EARLIER = 0  # epochs by which the results of an earlier search go
_USUAL = 3.0  # a normal distribution's worst are about two medians' distances from its best
_UNEXPLAINED = 0.3  # prior share of a rung's variance that the next rung does not share


class TrainingData(NamedTuple):
    """Data for a model: ``N`` measurements of fewer configurations.

    Attributes:
        rows: Configurations ``(N, D)``.
        errors: On the scale of the highest rung seen: what is measured there, or expected there after
            what was measured below ``(N,)``.
        configs: Which measurements are of one configuration ``(N,)``.
        levels: Rungs by number, 0 the lowest that was seen ``(N,)``.
        gains: Factor on each measurement's noise variance: how much of it is left on that scale, given the
            number of seeds averaged ``(N,)``.
        further: Number of seeds beyond the first that a measurement averages ``(N,)``.
        scatter: Sum of their squared deviations from it, on that scale ``(N,)``.
    """

    rows: Vector
    errors: Vector
    configs: Numbers
    levels: Numbers
    gains: Vector
    further: Numbers
    scatter: Vector

    @classmethod
    def of(cls, rows: Vector, errors: Vector) -> TrainingData:
        """Builds data with one measurement of every configuration, all at one rung."""
        count = np.arange(len(rows))
        none = np.zeros(len(rows))
        return cls(rows, errors, count, np.zeros_like(count), np.ones(len(rows)), np.zeros_like(count), none)

    @property
    def last(self) -> NDArray[np.bool_]:
        """Returns whether each measurement is at the highest rung its configuration reached ``(N,)``."""
        top = np.zeros(int(np.max(self.configs)) + 1, dtype=np.int64)
        np.maximum.at(top, self.configs, self.levels)
        return np.asarray(self.levels == top[self.configs])

    def part(self, which: NDArray[Any]) -> TrainingData:
        """Some of the measurements."""
        return TrainingData(*(values[which] for values in self))

    def warped(self) -> TrainingData:
        """Errors on a logarithmic scale that magnifies differences among the best, as SMAC's encoder does.

        The zero of the scale lies as far below the least error as the 20th percentile lies above it.
        """
        least = float(np.min(self.errors))
        zero = least - max(np.percentile(self.errors, 20) - least, 1e-4)
        above = self.errors - zero
        return self._replace(errors=np.log(above), scatter=self.scatter / above**2)

    def tempered(self) -> TrainingData:
        """Very bad errors on a logarithmic scale, so that a few of them do not stretch that of the others.

        Very bad ones are those worse than the best by more than three times what the median is worse. The
        others stay as they were measured, so that their noise is the same everywhere.
        """
        least = float(np.min(self.errors))
        spread = max(float(np.median(self.errors)) - least, 1e-4)
        knee = least + _USUAL * spread
        above = np.maximum(self.errors - knee, 0.0) / spread
        errors = np.minimum(self.errors, knee) + spread * np.log1p(above)
        return self._replace(errors=errors, scatter=self.scatter / (1 + above) ** 2)


class Learner(ABC):
    """A model of errors, learnt from training data.

    Attributes:
        logarithmic: Whether it takes errors for logarithms.
        _rows: The configurations it rests on ``(N, D)``.
        _expected: The errors it expects of them ``(N,)``.
    """

    logarithmic = False
    _rows: Vector
    _expected: Vector

    def tune(self, data: TrainingData) -> None:
        """Chooses what changes little as the data grow, such as length scales; comes before ``learn``."""
        del data

    @abstractmethod
    def learn(self, data: TrainingData, seed: int) -> None:
        """Learns anew; everything random is derived from the seed."""

    @abstractmethod
    def means(self, rows: Vector) -> Vector:
        """Expected errors ``(N,)`` of configurations ``(N, D)``."""

    def leaders(self, n: int) -> tuple[Vector, Vector]:
        """The training configurations with the least expected errors: rows ``(n, D)``, errors ``(n,)``."""
        order = np.argsort(self._expected, kind="stable")[:n]
        return self._rows[order], self._expected[order]


class Evidence:
    """Finished trials by configuration; all rungs are used together.

    Most configurations are only seen at low rungs. The promoted ones show how errors
    change from rung to rung: along a straight line, held near slope 1 while there are few. Promotion
    selects by the lower error alone, so the line is not biased by it. A crashed configuration counts
    as the worst, whatever rung it crashed at; it is never promoted, so a model of high rungs only
    would propose similar ones again and again.

    Attributes:
        finished: Trials so far.
        succeeded: Those among them that did not crash.
    """

    def __init__(self, rungs: Sequence[int]) -> None:
        """Starts with nothing; ``rungs`` are the epochs there are, lowest first."""
        self.finished, self.succeeded = 0, 0
        self._rungs = {epochs: k for k, epochs in enumerate((EARLIER, *rungs))}
        self._places: dict[bytes, int] = {}
        # By configuration, in arrays with room for more: lists of thousands take long to make arrays of.
        self._rows = np.empty((0, 0))
        self._errors = np.empty((0, len(self._rungs)))  # by rung, NaN where there is none
        self._further: dict[
            tuple[int, int], tuple[int, float]
        ] = {}  # by place and rung, where there are seeds
        self._crashed = np.empty(0, dtype=np.bool_)

    def recall(self, row: Vector, error: float) -> None:
        """Takes what an earlier search measured: a rung below the lowest, worth what both have in common."""
        place = self._place(row)
        self._errors[place, self._rungs[EARLIER]] = error

    def add(
        self,
        row: Vector,
        epochs: int,
        error: float | None,
        *,
        blameless: bool = False,
        curve: Mapping[int, float] | None = None,
    ) -> None:
        """Takes a finished trial.

        Args:
            row: Its configuration ``(D,)``.
            epochs: Those of a rung.
            error: Its error; None if it crashed.
            blameless: Whether it crashed for an external reason.
            curve: Its errors after fewer epochs, by epochs; those of rungs count.
        """
        place = self._place(row)
        self.finished += 1
        if error is None:
            self._crashed[place] |= not blameless
        else:
            self.succeeded += 1
            self._measure(place, self._rungs[epochs], error)
            for below, value in (curve or {}).items():
                rung = self._rungs.get(below)
                if rung is not None and np.isnan(self._errors[place, rung]):
                    self._errors[place, rung] = value

    def of_rungs(self) -> Judgement:
        """What the results say of the rungs."""
        _, *epochs = self._rungs
        count = len(self._places)
        return judge(epochs, self._errors[max(count - LATEST, 0) : count, 1:].tolist())

    def _measure(self, place: int, rung: int, error: float) -> None:
        """Takes an error: the first, or one more seed, by which the mean moves (Welford 1962)."""
        known = self._errors[place, rung]
        if np.isnan(known):
            self._errors[place, rung] = error
            return
        further, scatter = self._further.get((place, rung), (0, 0.0))
        mean = known + (error - known) / (further + 2)
        self._errors[place, rung] = mean
        self._further[place, rung] = further + 1, scatter + (error - known) * (error - mean)

    def _place(self, row: Vector) -> int:
        count = len(self._places)
        place = self._places.setdefault(key(row), count)
        if place == count:
            if count == len(self._crashed):
                more = max(count, _ROOM)
                self._rows = np.concatenate([self._rows.reshape(count, len(row)), np.empty((more, len(row)))])
                self._errors = np.concatenate([self._errors, np.full((more, len(self._rungs)), np.nan)])
                self._crashed = np.concatenate([self._crashed, np.zeros(more, dtype=np.bool_)])
            self._rows[place] = row
        return place

    @property
    def crashes(self) -> tuple[Vector, NDArray[np.bool_]]:
        """Configurations of which a trial finished ``(N, D)``, and whether they crashed ``(N,)``."""
        count = len(self._places)
        crashed = self._crashed[:count]
        known = crashed | np.isfinite(self._errors[:count, 1:]).any(1)
        return self._rows[:count][known], crashed[known]

    def expected_errors(self) -> dict[bytes, float]:
        """The error expected at the highest rung of every configuration that finished a trial, by its key."""
        part = (data := self.training_data()).part(data.last)
        return {key(row): float(error) for row, error in zip(part.rows, part.errors, strict=True)}

    def training_data(self, lowest: int = 0) -> TrainingData:
        """All measurements so far, on one scale; there must be a finished trial.

        Args:
            lowest: The rung, by number, from which on they count; the others do if there are none.
        """
        count = len(self._places)
        curves, crashed = self._errors[:count].copy(), self._crashed[:count]
        curves[crashed] = np.nan
        if np.isfinite(curves[:, lowest + 1 :]).any():
            curves[:, 1 : lowest + 1] = np.nan
        expected, gains = _expected(curves)
        seen = np.isfinite(curves)
        # A crash counts as a measurement at the highest rung that anyone has reached.
        top = max(np.flatnonzero(seen.any(0)), default=0)
        expected[crashed, top] = np.max(expected[seen], initial=-np.inf) if seen.any() else 1.0
        seen[crashed, top] = True
        configs, rungs = np.nonzero(seen)
        levels = np.unique(rungs, return_inverse=True)[1]
        further, scatter = np.zeros(seen.shape, dtype=np.int64), np.zeros(seen.shape)
        for place, (count, squares) in self._further.items():
            further[place], scatter[place] = count, squares * gains[place[1]]
        seeds = further[seen]
        return TrainingData(
            self._rows[configs],
            expected[seen],
            configs,
            levels,
            gains[rungs] / (seeds + 1),
            seeds,
            scatter[seen],
        )


def _expected(curves: Vector) -> tuple[Vector, Vector]:
    """The errors expected at the highest rung that any configuration has reached.

    Args:
        curves: Errors by configuration and rung ``(N, R)``, NaN where there are none.

    Returns:
        The error expected after each of them ``(N, R)``, and by rung the share of noise variance that
        is left in it ``(R,)``.
    """
    seen = np.isfinite(curves)
    rungs = np.flatnonzero(seen.any(0))
    alive = curves[seen.any(1)]
    spread = float(np.var(alive[np.arange(len(alive)), seen[seen.any(1)].argmax(1)])) if len(alive) else 0.0
    expected, gains = curves.copy(), np.ones(curves.shape[1])
    for k in range(len(rungs) - 1):
        low, high = curves[:, rungs[k]], curves[:, rungs[k + 1]]
        both = seen[:, rungs[k]] & seen[:, rungs[k + 1]]
        intercept, slope = _fit(low[both], high[both], _UNEXPLAINED * spread)
        below = rungs[: k + 1]
        expected[:, below] = intercept + slope * expected[:, below]
        gains[below] *= slope**2
    return expected, gains


def _fit(low: Vector, high: Vector, prior_variance: float) -> tuple[float, float]:
    """Intercept and slope of a line from one rung to the next."""
    if not len(low):
        return 0.0, 1.0
    x, y = low - low.mean(), high - high.mean()
    weight = max(_PRIOR_PAIRS * prior_variance, 1e-12)
    slope = float((x @ y + weight) / (x @ x + weight))
    return float(high.mean() - slope * low.mean()), slope
