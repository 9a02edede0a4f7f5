"""What configurations have in common: a kernel over choices and numbers, for the Gaussian process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from ConfigSpace import CategoricalHyperparameter, Constant, OrdinalHyperparameter
from ConfigSpace.hyperparameters import IntegerHyperparameter

from nas.optimizers.smac.candidates import is_number
from search_spaces.rules import levels_of

if TYPE_CHECKING:
    from ConfigSpace import ConfigurationSpace
    from numpy.typing import NDArray

    Vector = NDArray[np.float64]
    Mask = NDArray[np.bool_]

_SMOOTH_LEVELS = 5  # of an ordinal or integer; with fewer, each step may be another thing
_FIVE = 5.0  # Matérn's 5/2: squared distances are multiplied by it (Rasmussen and Williams 2006, 4.17)


class Points(NamedTuple):
    """Configurations as points whose squared distances are scaled by the kernel's decay.

    Attributes:
        choices: Codes of categories, and of scales of few levels ``(N, C)``.
        numbers: Of numbers and longer scales ``(N, K)``.
    """

    choices: Vector
    numbers: Vector


class Kernel:
    """``prod_d exp(-theta_d dist_d)`` over choices times Matérn's kernel (5/2) over numbers.

    ``dist_d`` is 0 or 1 for categories, the share of the range for scales of few levels, its square for
    others, in the unit interval, logarithmic where the hyperparameter is: for categories SMAC's
    weighted Hamming kernel. Matérn's takes ``sum_d theta_d dist_d`` for its squared distance, so that every
    number has a length scale of its own. Inactive is a separate value.

    Attributes:
        numbers: Which hyperparameters are numbers, or scales of at least five levels ``(D,)``.
    """

    def __init__(self, configspace: ConfigurationSpace) -> None:
        """Takes the space whose rows are compared."""
        self._hps = list(configspace.values())
        self._conditional = frozenset(configspace.conditional_hyperparameters)
        self.numbers: Mask = np.array([_is_smooth(hp) for hp in self._hps])

    def distances(self, rows: Vector) -> Vector:
        """Distances by hyperparameter ``(D, N, N)``."""
        return np.array([squared(code, code) for code in self.coded(rows)])

    def points(self, rows: Vector, theta: Vector) -> Points:
        """Configurations ``(N, D)`` as points, with a decay for every hyperparameter ``(D,)``."""
        scaled = [root * code for root, code in zip(np.sqrt(theta), self.coded(rows), strict=True)]
        none = np.empty((len(rows), 0))
        return Points(
            np.concatenate([none, *(c for c, n in zip(scaled, self.numbers, strict=True) if not n)], axis=1),
            np.concatenate([none, *(c for c, n in zip(scaled, self.numbers, strict=True) if n)], axis=1),
        )

    def coded(self, rows: Vector) -> list[Vector]:
        """Every hyperparameter's codes ``(N, C_d)``."""
        return [codes(hp, rows[:, d], hp.name in self._conditional) for d, hp in enumerate(self._hps)]


def correlation(a: Points, b: Points) -> Vector:
    """Correlations ``(N, M)`` between points; in place, as new megabytes are cleared by the system first."""
    squares = squared(a.choices, b.choices)
    found = np.asarray(np.exp(np.negative(squares, out=squares), out=squares))
    if a.numbers.shape[1]:
        found *= _matern(squared(a.numbers, b.numbers))[0]
    return found


def correlation_of(theta: Vector, distances: Vector, numbers: Mask) -> tuple[Vector, Vector]:
    """Correlations ``(N, M)`` at distances by hyperparameter ``(D, N, M)``, and how they fall.

    Returns:
        Correlations, and for numbers the derivative of Matérn's logarithm by its squared distance, without
        its sign ``(N, M)``; for choices that of the logarithm is 1.
    """
    C = np.exp(-np.tensordot(theta[~numbers], distances[~numbers], 1))
    if not numbers.any():
        return C, np.ones_like(C)
    value, fall = _matern(np.tensordot(theta[numbers], distances[numbers], 1))
    return C * value, fall


def _matern(squares: Vector) -> tuple[Vector, Vector]:
    """Matérn's kernel (5/2) at squared distances, and by how much its logarithm falls with them."""
    r = np.sqrt(_FIVE * squares)
    rational = 1 + r + r * r / 3
    return rational * np.exp(-r), _FIVE / 6 * (1 + r) / rational


def _is_smooth(hp: Any) -> bool:
    """Whether what is near is alike: a number, or a scale of some levels."""
    scale = isinstance(hp, OrdinalHyperparameter | IntegerHyperparameter) and hp.size >= _SMOOTH_LEVELS
    return scale or is_number(hp)


def codes(hp: Any, column: Vector, conditional: bool = False) -> Vector:
    """Numbers ``(N, C)`` whose squared distance is that of the values: one-hot, thermometer or plain.

    Where a hyperparameter may be inactive (``nan``), that is a separate value, as far from all others as
    two categories are from each other, or two ends of a scale (from inner numbers a quarter less).
    """
    if not conditional:
        return _active_codes(hp, column)
    off = np.isnan(column)
    found = _active_codes(hp, np.where(off, 0.0, column)).astype(np.float64)
    category = isinstance(hp, CategoricalHyperparameter | Constant)
    # In the middle of a scale, and aside: half a scale and the square root of three quarters make 1.
    found[off] = 0.0 if category else np.max(_active_codes(hp, _ends(hp)), axis=0) / 2
    aside = np.sqrt(0.5) if category else np.sqrt(0.75)
    return np.column_stack([found, aside * off])


def _active_codes(hp: Any, column: Vector) -> Vector:
    if isinstance(hp, CategoricalHyperparameter):
        return (column[:, None] == np.arange(hp.size)) / np.sqrt(2.0)
    if isinstance(hp, OrdinalHyperparameter) and _is_smooth(hp):
        return column[:, None] / (hp.size - 1)
    if isinstance(hp, OrdinalHyperparameter):
        return (column[:, None] > np.arange(hp.size - 1)) / np.sqrt(max(hp.size - 1, 1))
    if isinstance(hp, IntegerHyperparameter) and not _is_smooth(hp):
        levels = levels_of(hp)
        gaps = np.diff(levels) / (levels[-1] - levels[0])
        return (column[:, None] > levels[:-1] + 1e-9) * np.sqrt(gaps)
    if isinstance(hp, Constant):
        return np.full((len(column), 1), np.sqrt(0.5))
    return column[:, None]


def _ends(hp: Any) -> Vector:
    """The two ends of a scale, as rows have them."""
    return np.array([0.0, hp.size - 1 if isinstance(hp, OrdinalHyperparameter) else 1.0])


def squared(a: Vector, b: Vector) -> Vector:
    """Squared distances ``(N, M)`` between rows."""
    squares = (a * a).sum(1)[:, None] + (b * b).sum(1)
    products = a @ b.T
    products *= 2.0
    squares -= products
    return np.maximum(squares, 0.0, out=squares)
