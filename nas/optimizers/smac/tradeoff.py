"""Costs besides the error: those of tried configurations, predictions for candidates, and promotion."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr

from nas.optimizers.smac.candidates import key
from nas.optimizers.smac.cost_model import logs
from nas.optimizers.smac.measured_cost import MeasuredCost
from nas.optimizers.smac.pareto import preferred, ranks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ConfigSpace import Configuration, ConfigurationSpace
    from numpy.typing import NDArray

    from nas.optimizers.objectives import Costs
    from nas.optimizers.smac.cost_model import CostModel
    from nas.optimizers.smac.evidence import TrainingData

    Vector = NDArray[np.float64]

_UNKNOWN = 1e30  # an unknown cost weighs more than any other
_BEST, _OTHERS = 300, 100  # configurations that the error's process learns from, by rank


class Tradeoff:
    """Costs by their logarithms, counted or measured, beside the errors.

    Attributes:
        objectives: Costs that are to be low.
        active: Whether anything but the error counts.
    """

    def __init__(
        self, space: ConfigurationSpace, costs: Costs, counted: CostModel, rungs: Sequence[int]
    ) -> None:
        """Starts with nothing tried."""
        self.objectives = costs.objectives
        self.active = bool(costs.objectives or costs.limits)
        self._costs, self._counted = costs, counted
        self._names = tuple(dict.fromkeys((*costs.objectives, *costs.limits)))
        self._processes = {name: MeasuredCost(space, rungs) for name in self._names if name in costs.measured}
        self._measured: dict[bytes, dict[str, float]] = {}
        self._rungs: dict[int, dict[bytes, tuple[Vector, float]]] = {epochs: {} for epochs in rungs}
        self._gone_on: dict[int, set[bytes]] = {epochs: set() for epochs in rungs}

    def observe(self, row: Vector, epochs: int, error: float | None, metrics: Mapping[str, float]) -> None:
        """Takes a finished trial; ``error`` None: it crashed."""
        measured = self._measured.setdefault(key(row), {})
        for name, process in self._processes.items():
            if math.isfinite(cost := metrics.get(name, math.nan)):
                measured[name] = cost
                process.add(row, epochs, float(logs(cost)))
        if error is not None:
            self._rungs[epochs][key(row)] = row, error

    def keeps(self, rows: Sequence[Vector] | Vector) -> NDArray[np.bool_]:
        """Whether configurations keep all limits, as far as their costs are known ``(N,)``."""
        if not self._processes:
            return np.array(self._counted.fitting(rows), dtype=np.bool_)
        counted = self._counted.exact(rows) if self._counted.names else [{}] * len(rows)
        measured = [self._measured.get(key(row), {}) for row in rows]
        both = [{**costs, **more} for costs, more in zip(counted, measured, strict=True)]
        return np.array([self._costs.fits(costs) for costs in both], dtype=np.bool_)

    def eligible(self, config: Configuration) -> bool:
        """Whether a configuration may be promoted: it keeps all limits, as far as its costs are known."""
        return bool(self.keeps([config.get_array()])[0])

    def probability(self, rows: Vector) -> Vector:
        """How likely configurations keep the limits on what can only be measured ``(N,)``."""
        likely = np.ones(len(rows))
        for name, limit in self._costs.limits.items():
            if name in self._processes and (seen := self._processes[name].predict(rows)) is not None:
                likely *= ndtr((logs(limit) - seen[0]) / seen[1])
        return likely

    def most(self) -> Vector:
        """Logarithms of the limits of the objectives, the error first; infinite where there is none."""
        return np.array([np.inf, *(logs(self._costs.limits.get(name, np.inf)) for name in self.objectives)])

    def predict(self, rows: Vector, *, exactly: bool) -> tuple[Vector, Vector]:
        """Means and standard deviations ``(N, K)`` of the objectives' logarithms.

        Args:
            rows: Configurations.
            exactly: Count what can be counted.
        """
        found = [self._predict(name, rows, exactly) for name in self.objectives]
        means, deviations = zip(*found, strict=True)
        return np.column_stack(means), np.column_stack(deviations)

    def prefer(
        self, configs: Sequence[Configuration], errors: Sequence[float], budget: float, n: int
    ) -> list[int]:
        """Chooses who is promoted from a finished group: at most ``n``, none beyond a limit.

        Args:
            configs: The group.
            errors: Their errors.
            budget: The rung, in epochs.
            n: How many may go on.
        """
        rows = np.array([config.get_array() for config in configs])
        if not len(rows):
            return []
        good = np.flatnonzero(self.keeps(rows))
        rows, found = rows[good], np.array(errors)[good]
        if not self.objectives:
            return [int(i) for i in good[np.argsort(found, kind="stable")[:n]]]
        done, gone = self._rungs[round(budget)], self._gone_on[round(budget)]
        rivals = self._points(np.array([row for row, _ in done.values()]), [e for _, e in done.values()])
        chosen = preferred(self._points(rows, found), rivals, rivals[[name in gone for name in done]], n)
        gone.update(key(rows[i]) for i in chosen)
        return [int(i) for i in good[chosen]]

    def thinned(self, data: TrainingData) -> TrainingData:
        """The measurements that say most about the front, if there are too many to learn from all."""
        if len(data.rows) <= _BEST + _OTHERS or not self.objectives:
            return data
        by_rank = ranks(self._points(data.rows, data.errors), _BEST)
        order = np.argsort(by_rank, kind="stable")
        others = order[_BEST:]
        even = others[np.linspace(0, len(others) - 1, min(_OTHERS, len(others))).round().astype(int)]
        part = data.part(np.sort(np.concatenate([order[:_BEST], even])))
        return part._replace(configs=np.unique(part.configs, return_inverse=True)[1])

    def _points(self, rows: Vector, errors: Sequence[float] | Vector) -> Vector:
        means, _ = self.predict(rows, exactly=True)
        return np.column_stack([np.asarray(errors, dtype=np.float64), means])

    def _predict(self, name: str, rows: Vector, exactly: bool) -> tuple[Vector, Vector]:
        zero = np.zeros(len(rows))
        if name in self._processes:
            return self._processes[name].predict(rows) or (zero, zero)
        if not exactly:
            return self._counted.predict(name, rows)
        return logs([costs.get(name, _UNKNOWN) for costs in self._counted.exact(rows)]), zero
