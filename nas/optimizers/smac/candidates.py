"""Configurations of a flat ConfigSpace as rows of numbers: draw, vary, enumerate, translate."""

from __future__ import annotations

import math
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from ConfigSpace import CategoricalHyperparameter, Configuration, Constant, OrdinalHyperparameter
from ConfigSpace.hyperparameters import IntegerHyperparameter

from nas.util.errors import UserError
from search_spaces.base import plain

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from ConfigSpace import ConfigurationSpace
    from numpy.typing import NDArray

    from search_spaces.base import Config

    Vector = NDArray[np.float64]

_FEW_LEVELS = 16  # up to here all other values are neighbours; beyond, and for floats, some near ones
_NEAR, _SPREAD = 8, 0.05  # SMAC's own number and spread (of the unit interval) of near values
_MAX_LEVELS = 1_000_000
_LEAST_DRAWS = 100  # enough to tell a space that is nearly exhausted by


class PlainConfiguration(Configuration):
    """A configuration that is compared and hashed by its row.

    ConfigSpace hashes the ``repr`` of the values, which differs between ``3`` and ``np.int64(3)``,
    and compares whole spaces: much time in SMAC, which looks configurations up several times a trial.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._key = key(self.get_array())
        self._hash = hash(self._key)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PlainConfiguration):
            return NotImplemented
        return self is other or self._key == other._key


class Candidates:
    """The rows that stand for the configurations of a space.

    Rows are ConfigSpace's own vectors: indices for categories and ordinals, the unit interval for
    numbers.

    Attributes:
        size: Number of configurations, ``math.inf`` with a float among the hyperparameters.
    """

    def __init__(self, space: ConfigurationSpace) -> None:
        """Takes a space.

        Raises:
            UserError: If it has conditions or forbidden clauses. A neighbour of a configuration may
                be none there, and SMAC's own local search is broken for them: it accepts no
                neighbour of a configuration with an inactive hyperparameter (NaN != NaN).
        """
        if space.conditions or space.forbidden_clauses:
            raise UserError(
                f"search space {space.name}: has conditions or forbidden clauses; let every combination of "
                "choices be a configuration"
            )
        self._space = space
        self._hps = list(space.values())
        self._levels = [_levels(hp) for hp in self._hps]
        self.size: float = math.prod(hp.size for hp in self._hps)

    def sample(self, n: int, rng: np.random.RandomState) -> Vector:
        """Draws rows by the hyperparameters' own distributions, duplicates included; ``(n, D)``."""
        return np.column_stack([hp.sample_vector(n, seed=rng) for hp in self._hps]).astype(np.float64)

    def unseen(self, n: int, seen: Container[bytes], rng: np.random.RandomState) -> Vector:
        """Draws distinct rows that are not in ``seen``.

        Args:
            n: How many at most. There may be fewer, but none only if the space is exhausted.
            seen: Keys (:func:`key`) of rows to leave out.
            rng: Source of randomness.

        Returns:
            Rows ``(<= n, D)``.
        """
        draws = max(n, _LEAST_DRAWS)
        rows = distinct(self.sample(draws, rng), seen) if self.size > draws else []
        levels = [levels for levels in self._levels if levels is not None]
        if not rows and len(levels) == len(self._hps):
            # A small space, or one so nearly exhausted that it has hardly more rows than were seen.
            rows = distinct(np.array(list(product(*levels)), dtype=np.float64), seen)
            rows = [rows[i] for i in rng.permutation(len(rows))]
        return np.array(rows[:n]).reshape(-1, len(self._hps))

    def neighbours(self, row: Vector, rng: np.random.RandomState) -> Vector:
        """Gives the rows that differ from one in a single hyperparameter; ``(n, D)``."""
        found = []
        for j, (hp, levels) in enumerate(zip(self._hps, self._levels, strict=True)):
            if levels is not None and len(levels) <= _FEW_LEVELS:
                others = levels[levels != row[j]]
            else:
                others = hp.neighbors_vectorized(row[j], _NEAR, std=_SPREAD, seed=rng)
            block = np.repeat(row[None], len(others), axis=0)
            block[:, j] = others
            found.append(block)
        return np.concatenate(found)

    def decode(self, row: Vector, origin: str | None = None) -> Configuration:
        """Makes the configuration of a row."""
        return self.encode(Configuration(self._space, vector=row), origin)

    def encode(self, values: Mapping[str, Any], origin: str | None = None) -> Configuration:
        """Makes a configuration from values.

        Its values are plain Python objects, and its row depends on the values alone, so that a
        configuration read from a journal is in no way different from one just drawn.

        Raises:
            UserError: If they are none of this space.
        """
        config: Config = plain(values)
        try:
            return PlainConfiguration(self._space, values=config, origin=origin)
        except (ValueError, TypeError) as error:
            problem = " ".join(str(error).split())
            raise UserError(
                f"configuration {config}: not one of the search space {self._space.name} ({problem})"
            ) from None


def key(row: Vector) -> bytes:
    """Names a row; equal rows give equal names."""
    return row.tobytes()


def distinct(rows: Iterable[Vector], seen: Container[bytes]) -> list[Vector]:
    """Leaves out later duplicates and rows whose key was seen; keeps the order."""
    first: dict[bytes, Vector] = {}
    for row in rows:
        first.setdefault(key(row), row)
    return [row for name, row in first.items() if name not in seen]


def _levels(hp: Any) -> Vector | None:
    if isinstance(hp, (CategoricalHyperparameter, OrdinalHyperparameter)):
        return np.arange(hp.size, dtype=np.float64)
    if isinstance(hp, Constant):
        return np.array([hp.to_vector(hp.value)], dtype=np.float64)
    if isinstance(hp, IntegerHyperparameter) and hp.size <= _MAX_LEVELS:
        return np.asarray(hp.to_vector(np.arange(hp.lower, hp.upper + 1)), dtype=np.float64)
    return None
