"""A Gaussian process over choices: correlation falls with every hyperparameter that differs."""

from __future__ import annotations

from functools import cache, wraps
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.linalg.blas import dtrmm
from scipy.linalg.lapack import dtrtri
from scipy.optimize import minimize
from smac.model import AbstractModel
from threadpoolctl import ThreadpoolController

from nas.optimizers.smac.evidence import Learner, TrainingData
from nas.optimizers.smac.kernel import Kernel, correlation, correlation_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ConfigSpace import ConfigurationSpace
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]
    Mask = NDArray[np.bool_]

P = ParamSpec("P")
T = TypeVar("T")

_FIT_POINTS, _FIT_CURVES = 100, 50  # configurations that choose length scales; of them with several rungs
_BEST_POINTS, _OTHER_POINTS = 300, 100  # that predictions rest on
_STEPS = 20
_JITTER = 1e-6
# Log-normal priors, for standardised errors: mean and standard deviation of the logarithm.
_DECAY = 3.0, 1.2  # over all hyperparameters together: two random configurations hardly correlate
_NUMBER_DECAY = (
    16.0,
    1.2,
)  # of numbers; both are shared among all hyperparameters, as by Hvarfner (2402.02229)
_SIGNAL = 1.0, 0.7
_INNOVATION = 0.3, 1.0  # signal that a rung adds to the one below
_NOISE = 0.05, 1.5
_REACH = 4.0  # standard deviations: a line search that leaps further would overflow


@cache
def _libraries() -> ThreadpoolController:
    """Linear algebra libraries in this process; looking for them takes longer than a small fit."""
    return ThreadpoolController()


def _on_one_thread(method: Callable[P, T]) -> Callable[P, T]:
    """Limits linear algebra to one thread: matrices are small, and spinning threads slow down training."""

    @wraps(method)
    def limited(*args: P.args, **kwargs: P.kwargs) -> T:
        with _libraries().limit(limits=1, user_api="blas"):
            return method(*args, **kwargs)

    return limited


class GaussianProcess(Learner, AbstractModel):
    """Gaussian process regression with the kernel of :class:`nas.optimizers.smac.kernel.Kernel`.

    Length scales, signal and noise are the most likely ones under weak priors, found from one start by L-BFGS
    with exact gradients, so that equal data give equal models. Where there are too many data for the time
    between trials, a sample of them is used.
    """

    def __init__(self, configspace: ConfigurationSpace, seed: int = 0) -> None:
        super().__init__(configspace, seed=seed)
        self._kernel = Kernel(configspace)

    @_on_one_thread
    def tune(self, data: TrainingData) -> None:
        """Chooses length scales, signal by rung and noise."""
        some = self._standardised(_most_informative(data))
        self._shape = _most_likely(self._kernel.distances(some.rows), self._kernel.numbers, some)

    @_on_one_thread
    def learn(self, data: TrainingData, seed: int = 0) -> None:
        """Conditions the process. Nothing is random."""
        del seed
        if np.max(data.levels) >= len(self._shape[1]):
            self.tune(data)  # the first trial of a rung
        order = np.argsort(data.errors, kind="stable")
        keep = np.concatenate([order[:_BEST_POINTS], _spread(order[_BEST_POINTS:], _OTHER_POINTS)])
        some = self._standardised(data.part(keep))
        self._decay, innovations, noise = self._shape
        self._points = self._kernel.points(some.rows, self._decay)
        shared = np.cumsum(innovations)
        self._signal, self._shared = float(shared[-1]), shared[some.levels]
        C = correlation(self._points, self._points)
        K = np.minimum(self._shared[:, None], self._shared)
        K *= C
        np.einsum("ii->i", K)[:] += noise * some.gains + _JITTER
        self._factor = cho_factor(K, lower=True, overwrite_a=True)
        self._weights = cho_solve(self._factor, some.errors)
        self._rows = some.rows[some.last]
        self._expected = self._unscaled((C[some.last] * self._shared) @ self._weights)
        # A product with the inverse takes two thirds of the time of a triangular solve for each prediction.
        self._whitener, _ = dtrtri(self._factor[0], lower=1)

    @_on_one_thread
    def means(self, rows: Vector) -> Vector:
        """Expected errors ``(N,)``: much cheaper than with their variances."""
        return self._unscaled(self._covariance(rows) @ self._weights)

    def _train(self, X: Vector, y: Vector) -> GaussianProcess:
        data = TrainingData.of(X, y.ravel())
        self.tune(data)
        self.learn(data)
        return self

    def _standardised(self, data: TrainingData) -> TrainingData:
        """Errors scaled to mean 0 and variance 1."""
        self._mean, self._scale = float(data.errors.mean()), float(data.errors.std()) or 1.0
        errors = (data.errors - self._mean) / self._scale
        return data._replace(errors=errors, scatter=data.scatter / self._scale**2)

    def _unscaled(self, errors: Vector) -> Vector:
        return self._mean + self._scale * errors

    @_on_one_thread
    def _predict(self, X: Vector, covariance_type: str | None = "diagonal") -> tuple[Vector, Vector | None]:
        del covariance_type  # always the diagonal
        K = self._covariance(X)
        mean = self._unscaled(K @ self._weights)
        white = self._whitened(K)
        variance = np.maximum(self._signal - np.einsum("ij,ij->i", white, white), 1e-10)
        return mean[:, None], (self._scale**2 * variance)[:, None]

    def _whitened(self, K: Vector) -> Vector:
        """Rows ``(N, M)`` whose products are the covariances that data explain, of covariances with data."""
        return np.asarray(dtrmm(1.0, self._whitener, K.T, lower=1).T)

    def _covariance(self, rows: Vector) -> Vector:
        K = correlation(self._kernel.points(rows, self._decay), self._points)
        K *= self._shared
        return K


def _spread(order: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """Returns at most ``n`` of them, evenly spaced."""
    return order if len(order) <= n else order[np.linspace(0, len(order) - 1, n).round().astype(int)]


def _most_informative(data: TrainingData) -> TrainingData:
    """Returns the most informative measurements for scales and rungs: whole curves, then single points."""
    order = np.argsort(data.errors, kind="stable")
    order = order[data.last[order]]  # configurations, best first
    promoted = np.bincount(data.configs)[data.configs[order]] > 1
    curves = _spread(order[promoted], _FIT_CURVES)
    chosen = np.concatenate([curves, _spread(order[~promoted], _FIT_POINTS - len(curves))])
    return data.part(np.isin(data.configs, data.configs[chosen]))


def _most_likely(distances: Vector, numbers: Mask, data: TrainingData) -> tuple[Vector, Vector, float]:
    """Finds the maximum a posteriori of decay by hyperparameter ``(D,)``, signal by level and noise."""
    loss, start, reach = _likelihood(distances, numbers, data)
    bounds = list(zip(start - reach, start + reach, strict=True))
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _STEPS})
    best = np.exp(found.x)
    return best[: len(distances)], best[len(distances) : -1], float(best[-1])


def _likelihood(
    distances: Vector, numbers: Mask, data: TrainingData
) -> tuple[Callable[[Vector], tuple[float, Vector]], Vector, Vector]:
    """The negative logarithm of the posterior with its gradient, the prior's centre and its reach.

    All are over the logarithms of decay by hyperparameter, signal by level and noise.

    Args:
        distances: By hyperparameter ``(D, N, N)``.
        numbers: Which hyperparameters are numbers ``(D,)``.
        data: Errors standardised.
    """
    d, z = len(distances), data.errors
    levels = int(np.max(data.levels)) + 1
    decays = [_NUMBER_DECAY if number else _DECAY for number in numbers]
    priors = [(mean / d, spread) for mean, spread in decays]
    priors += [_SIGNAL, *[_INNOVATION] * (levels - 1), _NOISE]
    centre = np.log([mean for mean, _ in priors])
    width = np.array([spread for _, spread in priors])
    further = int(data.further.sum())
    scatter = float((data.scatter / (data.gains * (data.further + 1))).sum())
    eye = np.eye(len(z))
    lower = np.minimum(data.levels[:, None], data.levels)
    masks = [lower >= level for level in range(1, levels)]

    def loss(p: Vector) -> tuple[float, Vector]:
        theta, innovations, noise = np.exp(p[:d]), np.exp(p[d:-1]), np.exp(p[-1])
        C, fall = correlation_of(theta, distances, numbers)
        K = np.cumsum(innovations)[lower] * C
        factor = cho_factor(K + np.diag(noise * data.gains + _JITTER), lower=True)
        alpha = cho_solve(factor, z)
        W = cho_solve(factor, eye) - np.outer(alpha, alpha)
        WC = W * C
        WK = W * K
        lengths = np.tensordot(distances, WK, 2)
        if numbers.any():
            lengths[numbers] = np.tensordot(distances[numbers], WK * fall, 2)
        slopes = [
            *(-0.5 * theta * lengths),
            0.5 * innovations[0] * WC.sum(),
            *(0.5 * v * WC[mask].sum() for v, mask in zip(innovations[1:], masks, strict=True)),
            0.5 * noise * (np.diag(W) @ data.gains),
        ]
        off = (p - centre) / width
        value = 0.5 * z @ alpha + np.log(np.diag(factor[0])).sum() + 0.5 * off @ off
        if further:  # seeds of one configuration tell of noise alone, without length scales
            value += 0.5 * (further * p[-1] + scatter / noise)
            slopes[-1] += 0.5 * (further - scatter / noise)
        return value, np.array(slopes) + off / width

    return loss, centre, _REACH * width
