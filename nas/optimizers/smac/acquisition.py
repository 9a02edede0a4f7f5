"""Expected improvement, with what a user believes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from smac.acquisition.function import EI

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nas.optimizers.prior import Prior

    Vector = NDArray[np.float64]

_FADES_AFTER = 10.0  # finished trials; the beta of piBO for searches of 100 (arXiv 2204.11051, section 4)


class BelievedImprovement(EI):
    """Expected improvement times the prior, whose weight falls with every trial: ``EI prior^(10 / n)``.

    So what trials say outweighs a wrong belief in the end.
    """

    def __init__(self, prior: Prior, *, log: bool) -> None:
        super().__init__(log=log)
        self._prior = prior
        self._finished = 1

    def _update(self, **kwargs: Any) -> None:
        """Takes ``eta`` as EI does, and the number of ``finished`` trials."""
        super()._update(**kwargs)
        self._finished = max(int(kwargs["finished"]), 1)

    def _compute(self, X: Vector) -> Vector:
        return np.asarray(super()._compute(X)) * weight(self._prior, X, self._finished)[:, None]


def weight(prior: Prior | None, rows: Vector, finished: int) -> Vector:
    """What improvement is multiplied by ``(N,)`` after the finished trials; 1 without a prior."""
    if prior is None:
        return np.ones(len(rows))
    return np.exp(prior.log_density(rows) * (_FADES_AFTER / finished))
