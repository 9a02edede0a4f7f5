"""Acquisition function for a front: expected improvement of the hypervolume it dominates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from smac.acquisition.function.abstract_acquisition_function import AbstractAcquisitionFunction

from nas.optimizers.smac.acquisition import log_weight, logarithm
from nas.optimizers.smac.hypervolume import Boxes
from nas.optimizers.smac.pareto import corner, nondominated, spread

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from smac.model import AbstractModel

    from nas.optimizers.prior import Prior
    from nas.optimizers.smac.tradeoff import Tradeoff

    Vector = NDArray[np.float64]

_MOST_POINTS = {2: 40, 3: 24}  # of the front, by the number of objectives: the time of an ask is bounded


class ExpectedHypervolume(AbstractAcquisitionFunction):
    """How much hypervolume a configuration is expected to add, in errors as modelled and logarithms of costs.

    A counted cost is exact for the few that are counted; for all others, as for a measured cost, its Gaussian
    process gives the uncertainty.
    """

    _model: AbstractModel

    def __init__(self, tradeoff: Tradeoff, prior: Prior | None = None) -> None:
        super().__init__()
        self._tradeoff, self._prior = tradeoff, prior
        self._finished = 1

    def _update(self, **kwargs: Any) -> None:
        """Takes the number of ``finished`` trials and the ``tried``: configurations, and expected errors."""
        self._finished = max(int(kwargs["finished"]), 1)
        rows, errors = kwargs["tried"]
        costs, _ = self._tradeoff.predict(rows, exactly=True)
        points = np.column_stack([errors, costs])
        front = nondominated(points)
        places = np.flatnonzero(front)[spread(points[front], _MOST_POINTS[points.shape[1]])]
        self._boxes = Boxes(points[places], corner(points, self._tradeoff.most()))
        self.front_rows = rows[places]

    def _compute(self, X: Vector) -> Vector:
        return self.improvement(X, exactly=False)[:, None]

    def improvement(self, rows: Vector, *, exactly: bool) -> Vector:
        """The logarithm of expected improvement ``(N,)``, ``exactly``: by counted costs."""
        mean, variance = self._model.predict_marginalized(rows)
        costs, deviations = self._tradeoff.predict(rows, exactly=exactly)
        found = self._boxes.expected_improvement(
            np.column_stack([mean.ravel(), costs]),
            np.column_stack([np.sqrt(variance.ravel()), deviations]),
        )
        return logarithm(found) + log_weight(self._prior, rows, self._finished)
