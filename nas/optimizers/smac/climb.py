"""Numbers moved uphill, several configurations at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

_ITERATIONS = 30
_STEP = 1e-6  # of a finite difference, in the unit interval


def climb(score: Callable[[Sequence[Vector]], Vector], rows: Vector, free: NDArray[np.bool_]) -> Vector:
    """Moves numbers to where the score is higher, by L-BFGS from their present values.

    All rows are optimised as one point, by the sum of their scores, as in BoTorch (arXiv 1910.06403). The
    gradient is taken by finite differences, in one call of the score for all rows, so any score will do.

    Args:
        score: Returns the scores of rows ``(M,)``, preferably logarithms.
        rows: Where to begin ``(N, D)``.
        free: Which of their values may move within the unit interval ``(N, D)``.

    Returns:
        Rows ``(N, D)``.
    """
    row, column = np.nonzero(free)
    each = np.arange(len(row))

    def moved(values: Vector) -> Vector:
        there = rows.copy()
        there[row, column] = values
        return there

    def loss(values: Vector) -> tuple[float, Vector]:
        here = moved(values)
        steps = np.where(values > 0.5, -_STEP, _STEP)
        beside = here[row]
        beside[each, column] += steps
        scores = score([*here, *beside])
        gradient = (scores[len(rows) :] - scores[row]) / steps
        return -float(scores[: len(rows)].sum()), -gradient

    bounds = [(0.0, 1.0)] * len(row)
    start = rows[row, column]
    found = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _ITERATIONS}
    )
    return moved(np.clip(found.x, 0.0, 1.0))
