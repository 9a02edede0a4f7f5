"""A Gaussian process over choices: correlation falls with every hyperparameter that differs."""

from __future__ import annotations

from functools import cache, wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

import numpy as np
from ConfigSpace import CategoricalHyperparameter, Constant, OrdinalHyperparameter
from ConfigSpace.hyperparameters import IntegerHyperparameter
from scipy.linalg import cho_factor, cho_solve
from scipy.linalg.blas import dtrmm
from scipy.linalg.lapack import dtrtri
from scipy.optimize import minimize
from smac.model import AbstractModel
from threadpoolctl import ThreadpoolController

from nas.optimizers.smac.candidates import FEW_LEVELS
from nas.optimizers.smac.evidence import Learner, TrainingData
from search_spaces.rules import levels_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ConfigSpace import ConfigurationSpace
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]

P = ParamSpec("P")
T = TypeVar("T")

_FIT_POINTS, _FIT_CURVES = 100, 50  # configurations that choose length scales; of them with several rungs
_BEST_POINTS, _OTHER_POINTS = 300, 100  # that predictions rest on
_STEPS = 20
_JITTER = 1e-6
# Log-normal priors, for standardised errors: mean and standard deviation of the logarithm.
_DECAY = 3.0, 1.2  # over all hyperparameters together: two random configurations hardly correlate
_SIGNAL = 1.0, 0.7
_INNOVATION = 0.3, 1.0  # signal that a rung adds to the one below
_NOISE = 0.05, 1.5
_REACH = 4.0  # standard deviations: a line search that leaps further would overflow


@cache
def _libraries() -> ThreadpoolController:
    """Linear algebra libraries in this process; looking for them takes longer than a small fit."""
    return ThreadpoolController()


def _on_one_thread(method: Callable[P, T]) -> Callable[P, T]:
    """Matrices are small, and other threads would take cores from training, spinning."""

    @wraps(method)
    def limited(*args: P.args, **kwargs: P.kwargs) -> T:
        with _libraries().limit(limits=1, user_api="blas"):
            return method(*args, **kwargs)

    return limited


class ChoiceProcess(Learner, AbstractModel):
    """Gaussian process regression with the product kernel ``s^2 prod_d exp(-theta_d dist_d)``.

    ``dist_d`` is 0 or 1 for categories, the share of the range for ordinals and few integers, its square
    for other numbers, in the unit interval, logarithmic where the hyperparameter is: for categories SMAC's
    weighted Hamming kernel. Inactive is a separate value. Length scales, signal and noise are the most
    likely ones under weak priors, found from one start by L-BFGS with exact gradients, so that equal data
    give equal models. Where there are too many data for the time between trials, a sample of them is used.
    """

    def __init__(self, configspace: ConfigurationSpace, seed: int = 0) -> None:
        super().__init__(configspace, seed=seed)
        self._hps = list(configspace.values())
        self._conditional = frozenset(configspace.conditional_hyperparameters)

    @_on_one_thread
    def tune(self, data: TrainingData) -> None:
        """Chooses length scales, signal by rung and noise."""
        some = self._standardised(_telling(data))
        distances = np.array([_squared(code, code) for code in self._coded(some.rows)])
        self._shape = _most_likely(distances, some)

    @_on_one_thread
    def learn(self, data: TrainingData, seed: int = 0) -> None:
        """Conditions the process. Nothing is random."""
        del seed
        if np.max(data.levels) >= len(self._shape[1]):
            self.tune(data)  # the first trial of a rung
        order = np.argsort(data.errors, kind="stable")
        keep = np.concatenate([order[:_BEST_POINTS], _spread(order[_BEST_POINTS:], _OTHER_POINTS)])
        some = self._standardised(data.part(keep))
        theta, innovations, noise = self._shape
        self._roots = np.sqrt(theta)
        self._points = self._scaled(self._coded(some.rows))
        shared = np.cumsum(innovations)
        self._signal, self._shared = float(shared[-1]), shared[some.levels]
        C = _correlation(self._points, self._points)
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

    def _train(self, X: Vector, y: Vector) -> ChoiceProcess:
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
        K = _correlation(self._scaled(self._coded(rows)), self._points)
        K *= self._shared
        return K

    def _coded(self, rows: Vector) -> list[Vector]:
        return [_codes(hp, rows[:, d], hp.name in self._conditional) for d, hp in enumerate(self._hps)]

    def _scaled(self, codes: Sequence[Vector]) -> Vector:
        return np.concatenate([root * code for root, code in zip(self._roots, codes, strict=True)], axis=1)


def _codes(hp: Any, column: Vector, conditional: bool = False) -> Vector:
    """Numbers ``(N, C)`` whose squared distance is that of the values: one-hot, thermometer or plain.

    Where a hyperparameter may be inactive (``nan``), that is a separate value, as far from all others as
    two categories are from each other, or two ends of a scale (from inner numbers a quarter less).
    """
    if not conditional:
        return _active_codes(hp, column)
    off = np.isnan(column)
    codes = _active_codes(hp, np.where(off, 0.0, column)).astype(np.float64)
    category = isinstance(hp, CategoricalHyperparameter | Constant)
    # In the middle of a scale, and aside: half a scale and the square root of three quarters make 1.
    codes[off] = 0.0 if category else np.max(_active_codes(hp, _ends(hp)), axis=0) / 2
    aside = np.sqrt(0.5) if category else np.sqrt(0.75)
    return np.column_stack([codes, aside * off])


def _active_codes(hp: Any, column: Vector) -> Vector:
    if isinstance(hp, CategoricalHyperparameter):
        return (column[:, None] == np.arange(hp.size)) / np.sqrt(2.0)
    if isinstance(hp, OrdinalHyperparameter):
        return (column[:, None] > np.arange(hp.size - 1)) / np.sqrt(max(hp.size - 1, 1))
    if isinstance(hp, IntegerHyperparameter) and hp.size <= FEW_LEVELS:
        levels = levels_of(hp)
        gaps = np.diff(levels) / (levels[-1] - levels[0])
        return (column[:, None] > levels[:-1] + 1e-9) * np.sqrt(gaps)
    if isinstance(hp, Constant):
        return np.full((len(column), 1), np.sqrt(0.5))
    return column[:, None]


def _ends(hp: Any) -> Vector:
    """The two ends of a scale, as rows have them."""
    return np.array([0.0, hp.size - 1 if isinstance(hp, OrdinalHyperparameter) else 1.0])


def _correlation(a: Vector, b: Vector) -> Vector:
    """Correlations ``(N, M)`` between rows; in place, as new megabytes are cleared by the system first."""
    squares = _squared(a, b)
    return np.asarray(np.exp(np.negative(squares, out=squares), out=squares))


def _squared(a: Vector, b: Vector) -> Vector:
    """Squared distances ``(N, M)`` between rows."""
    squares = (a * a).sum(1)[:, None] + (b * b).sum(1)
    products = a @ b.T
    products *= 2.0
    squares -= products
    return np.maximum(squares, 0.0, out=squares)


def _spread(order: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    """At most ``n`` of them, evenly."""
    return order if len(order) <= n else order[np.linspace(0, len(order) - 1, n).round().astype(int)]


def _telling(data: TrainingData) -> TrainingData:
    """The measurements that say most about length scales and rungs: whole curves, then single points."""
    order = np.argsort(data.errors, kind="stable")
    order = order[data.last[order]]  # configurations, best first
    promoted = np.bincount(data.configs)[data.configs[order]] > 1
    curves = _spread(order[promoted], _FIT_CURVES)
    chosen = np.concatenate([curves, _spread(order[~promoted], _FIT_POINTS - len(curves))])
    return data.part(np.isin(data.configs, data.configs[chosen]))


def _most_likely(distances: Vector, data: TrainingData) -> tuple[Vector, Vector, float]:
    """Maximum a posteriori of decay by hyperparameter ``(D,)``, signal by level and noise."""
    loss, start, reach = _likelihood(distances, data)
    bounds = list(zip(start - reach, start + reach, strict=True))
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": _STEPS})
    best = np.exp(found.x)
    return best[: len(distances)], best[len(distances) : -1], float(best[-1])


def _likelihood(
    distances: Vector, data: TrainingData
) -> tuple[Callable[[Vector], tuple[float, Vector]], Vector, Vector]:
    """The negative logarithm of the posterior with its gradient, the prior's centre and its reach.

    All are over the logarithms of decay by hyperparameter, signal by level and noise.

    Args:
        distances: ``(D, N, N)``.
        data: Errors standardised.
    """
    d, z = len(distances), data.errors
    levels = int(np.max(data.levels)) + 1
    priors = [(_DECAY[0] / d, _DECAY[1])] * d + [_SIGNAL] + [_INNOVATION] * (levels - 1) + [_NOISE]
    centre = np.log([mean for mean, _ in priors])
    width = np.array([spread for _, spread in priors])
    further = int(data.further.sum())
    scatter = float((data.scatter / (data.gains * (data.further + 1))).sum())
    eye = np.eye(len(z))
    lower = np.minimum(data.levels[:, None], data.levels)
    masks = [lower >= level for level in range(1, levels)]

    def loss(p: Vector) -> tuple[float, Vector]:
        theta, innovations, noise = np.exp(p[:d]), np.exp(p[d:-1]), np.exp(p[-1])
        C = np.exp(-np.tensordot(theta, distances, 1))
        K = np.cumsum(innovations)[lower] * C
        factor = cho_factor(K + np.diag(noise * data.gains + _JITTER), lower=True)
        alpha = cho_solve(factor, z)
        W = cho_solve(factor, eye) - np.outer(alpha, alpha)
        WC = W * C
        slopes = [
            *(-0.5 * theta * np.tensordot(distances, W * K, 2)),
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
