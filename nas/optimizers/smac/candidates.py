"""Configurations of a ConfigSpace as rows of numbers: draw, vary, enumerate, translate."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from ConfigSpace import Configuration
from ConfigSpace.hyperparameters import FloatHyperparameter, IntegerHyperparameter

from nas.util.errors import UserError
from search_spaces.base import plain
from search_spaces.rules import Rules, levels_of

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from ConfigSpace import ConfigurationSpace
    from numpy.typing import NDArray

    from search_spaces.base import Config

    Vector = NDArray[np.float64]

FEW_LEVELS = 16  # of an integer: up to here all others are neighbours; beyond, and of floats, some near ones
_NEAR, _SPREAD = 8, 0.05  # near values: how many, and their spread in the unit interval
_MAX_LEVELS = 1_000_000
_ROUNDS = 50  # of draws, where clauses forbid some
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
    numbers, ``nan`` for what is inactive.

    Attributes:
        size: Number of configurations, ``math.inf`` with a float among the hyperparameters.
    """

    def __init__(self, space: ConfigurationSpace) -> None:
        """Takes a space.

        Raises:
            UserError: If its conditions are too entangled to count the configurations.
        """
        self._space = space
        self._hps = list(space.values())
        self._levels = [_levels(hp) for hp in self._hps]
        self._numbers = np.array([is_number(hp) for hp in self._hps])
        self._rules = Rules(space)
        free = self._rules.flat
        self.size: float = math.prod(hp.size for hp in self._hps) if free else self._rules.count()

    def sample(self, n: int, rng: np.random.RandomState) -> Vector:
        """Draws rows by the hyperparameters' own distributions, duplicates included; ``(<= n, D)``.

        There are fewer than ``n`` if clauses forbid nearly all that is drawn.
        """
        rows = self._rules.draw(n, rng)
        for _ in range(_ROUNDS):
            if len(rows) >= n:
                break
            rows = np.concatenate([rows, self._rules.draw(n, rng)])
        return rows[:n]

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
        if not rows and all(levels is not None for levels in self._levels):
            # A small space, or one so nearly exhausted that it has hardly more rows than were seen.
            rows = distinct(self._rules.every(), seen)
            rows = [rows[i] for i in rng.permutation(len(rows))]
        return np.array(rows[:n]).reshape(-1, len(self._hps))

    def neighbours(self, rows: Vector, rng: np.random.RandomState) -> Vector:
        """Returns the rows that differ from a given one in a single hyperparameter.

        Where that makes others active, these get values at random; what rules forbid is left out.

        Args:
            rows: One ``(D,)`` or several ``(M, D)``, whose neighbours are concatenated.
            rng: Source of randomness.

        Returns:
            Rows ``(N, D)``.
        """
        found, changed, before = [], [], []
        for row in np.atleast_2d(rows):
            for j, levels in enumerate(self._levels):
                if np.isnan(row[j]):
                    continue
                if levels is not None and not self._numbers[j]:
                    others = levels[levels != row[j]]
                else:
                    others = _reflected(row[j] + _SPREAD * rng.standard_normal(_NEAR))
                block = np.repeat(row[None], len(others), axis=0)
                block[:, j] = others
                found.append(block)
                changed.append(np.full(len(others), j))
                before.append(np.full(len(others), row[j]))
        near, column, old = np.concatenate(found), np.concatenate(changed), np.concatenate(before)
        for j in np.flatnonzero(self._numbers).tolist():
            mine = column == j
            near[mine, j] = self._rules.exact(j, near[mine, j])
        moved = near[np.arange(len(near)), column] != old
        return self._rules.settle(near[moved], lambda j, n: self._rules.spare(j, n, rng))

    def numbers(self, rows: Vector) -> NDArray[np.bool_]:
        """Returns a mask ``(N, D)`` of the values in rows that are numbers and can be moved a little."""
        return self._numbers & ~np.isnan(rows)

    def settled(self, rows: Vector, rng: np.random.RandomState) -> Vector:
        """Rounds rows ``(N, D)`` whose numbers were moved to configurations; leaves out what rules forbid."""
        rows = rows.copy()
        for j in np.flatnonzero(self._numbers).tolist():
            active = ~np.isnan(rows[:, j])
            rows[active, j] = self._rules.exact(j, rows[active, j])
        return self._rules.settle(rows, lambda j, n: self._rules.spare(j, n, rng))

    def decode(self, row: Vector, origin: str | None = None) -> Configuration:
        """Makes the configuration of a row."""
        return self.encode(Configuration(self._space, vector=row), origin)

    def values(self, row: Vector) -> Config:
        """The values of a row: those of :meth:`decode`, in half of its time."""
        return plain(Configuration(self._space, vector=row))

    def encode(self, values: Mapping[str, Any], origin: str | None = None) -> Configuration:
        """Makes a configuration from values.

        Its values are plain Python objects, and its row depends on the values alone, so that a
        configuration read from a journal is in no way different from one just drawn.

        Raises:
            UserError: If they are not a configuration of this space.
        """
        config: Config = plain(values)
        try:
            return PlainConfiguration(self._space, values=config, origin=origin)
        except (ValueError, TypeError) as error:
            problem = " ".join(str(error).split())
            raise UserError(
                f"configuration {config}: not one of the search space {self._space.name} ({problem})"
            ) from None


def is_number(hp: Any) -> bool:
    """Whether a hyperparameter is a float or an integer of many values, whose neighbours behave alike."""
    many = isinstance(hp, IntegerHyperparameter) and hp.size > FEW_LEVELS
    return many or isinstance(hp, FloatHyperparameter)


def key(row: Vector) -> bytes:
    """Returns a row's key; equal rows have equal keys."""
    return row.tobytes()


def keys(rows: Vector) -> list[bytes]:
    """Returns the keys of many rows ``(N, D)``, faster than one by one."""
    rows = np.ascontiguousarray(rows, dtype=np.float64)
    if not rows.size:
        return [b""] * len(rows)
    found: list[bytes] = rows.view(np.dtype((np.void, rows[0].nbytes))).ravel().tolist()
    return found


def distinct(rows: Iterable[Vector], seen: Container[bytes]) -> list[Vector]:
    """Leaves out later duplicates and rows whose key was seen; keeps the order."""
    first: dict[bytes, Vector] = {}
    for row in rows:
        first.setdefault(key(row), row)
    return [row for name, row in first.items() if name not in seen]


def _reflected(values: Vector) -> Vector:
    """Reflects values that left the unit interval at its ends."""
    values = np.abs(values)
    return np.clip(np.where(values > 1.0, 2.0 - values, values), 0.0, 1.0)


def _levels(hp: Any) -> Vector | None:
    """All values, None where there are too many to list."""
    if isinstance(hp, FloatHyperparameter):
        return None
    if isinstance(hp, IntegerHyperparameter) and hp.size > _MAX_LEVELS:
        return None
    return levels_of(hp)
