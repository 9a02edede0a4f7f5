"""The logarithm of expected improvement, weighted by a user's prior."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import erfcx, ndtr
from smac.acquisition.function import EI

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nas.optimizers.prior import Prior

    Vector = NDArray[np.float64]

_ROOT = np.sqrt(2 * np.pi)
_FAR, _VERY_FAR = -1.0, -1e4  # standard deviations: where the next way to compute it is the more exact
_TINY = 1e-300
_FADES_AFTER = 10.0  # finished trials; the beta of piBO for searches of 100 (arXiv 2204.11051, section 4)


class LogImprovement(EI):
    """The logarithm of expected improvement, which still ranks candidates that promise almost nothing.

    As computed by Ament et al. (LogEI, arXiv 2310.20708, equation 9). With a prior it is the
    logarithm of ``EI prior^(10 / n)``: the prior's weight falls with every trial, so that results outweigh a
    wrong belief.
    """

    def __init__(self, prior: Prior | None = None, *, log: bool = False) -> None:
        """Takes a user's prior; ``log``: the model predicts logarithms of errors, as a forest does."""
        super().__init__(log=log)
        self._prior = prior
        self._finished = 1

    def _update(self, **kwargs: Any) -> None:
        """Takes ``eta`` as EI does, and the number of ``finished`` trials."""
        super()._update(**kwargs)
        self._finished = max(int(kwargs["finished"]), 1)

    def _compute(self, X: Vector) -> Vector:
        if self._log:
            found = logarithm(np.asarray(super()._compute(X)))
        else:
            assert self._model is not None
            mean, variance = self._model.predict_marginalized(X)
            deviation = np.sqrt(variance)
            found = log_improvement((self._eta - mean) / deviation) + np.log(deviation)
        return found + log_weight(self._prior, X, self._finished)[:, None]


def log_improvement(u: Vector) -> Vector:
    """Returns the logarithm of ``phi(u) + u Phi(u)``: expected improvement in standard deviations."""
    near, far = np.maximum(u, _FAR), np.minimum(u, _FAR)
    above = np.log(np.exp(-near * near / 2) / _ROOT + near * ndtr(near))
    # phi(u) (1 - |u| Phi(u) / phi(u)), the ratio by the scaled complement of the error function.
    rest = -np.expm1(np.log(erfcx(-far / np.sqrt(2.0)) * -far) + np.log(np.pi / 2) / 2)
    below = -far * far / 2 - np.log(_ROOT) + np.where(far > _VERY_FAR, logarithm(rest), -2 * np.log(-far))
    return np.asarray(np.where(u > _FAR, above, below))


def logarithm(values: Vector) -> Vector:
    """Returns logarithms; zero counts as the smallest positive number."""
    return np.asarray(np.log(np.maximum(values, _TINY)))


def log_weight(prior: Prior | None, rows: Vector, finished: int) -> Vector:
    """Returns the logarithm of the prior's factor ``(N,)`` after some finished trials; 0 without a prior."""
    if prior is None:
        return np.zeros(len(rows))
    return prior.log_density(rows) * (_FADES_AFTER / finished)
