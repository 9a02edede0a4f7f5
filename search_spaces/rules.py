"""Conditions and forbidden clauses of a ConfigSpace, over many configurations at once.

A configuration is a row in ConfigSpace's vector form, ``nan`` where a hyperparameter is inactive. A
hyperparameter is active if its condition holds, as in ConfigSpace: a condition on an inactive one does not
hold.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from ConfigSpace import Configuration, Constant
from ConfigSpace.conditions import Condition, NotEqualsCondition
from ConfigSpace.forbidden import (
    ForbiddenAndConjunction,
    ForbiddenLessThanEqualsClause,
    ForbiddenOrConjunction,
    ForbiddenRelation,
)
from ConfigSpace.hyperparameters import FloatHyperparameter, IntegerHyperparameter
from ConfigSpace.hyperparameters.hp_components import ROUND_PLACES

from nas.util.errors import UserError
from search_spaces.hyperparameters import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from ConfigSpace import ConfigurationSpace
    from numpy.typing import NDArray

    from search_spaces.hyperparameters import Config

    Vector = NDArray[np.float64]
    Mask = NDArray[np.bool_]

_DRAWS, _ROUNDS = 64, 100  # draws at a time, and repetitions, since clauses may forbid most draws
_MOST_STATES = 200_000  # of a count: combinations that later conditions and clauses still depend on


class Rules:
    """The allowed combinations of a space.

    Attributes:
        names: Hyperparameters in the order of ConfigSpace, which is that of a row's columns.
        order: The columns, parents before their children.
    """

    def __init__(self, space: ConfigurationSpace) -> None:
        """Takes a space.

        Raises:
            UserError: If a condition depends on a hyperparameter that may be inactive, which makes it
                ambiguous.
        """
        self._space = space
        self.names = list(space)
        self._hps = list(space.values())
        self._column = {name: j for j, name in enumerate(self.names)}
        self._conditions: dict[int, list[Any]] = {}
        for condition in space.conditions:
            self._conditions.setdefault(self._column[condition.child.name], []).append(condition)
        self._forbidden = [(clause, self._asked(clause)) for clause in space.forbidden_clauses]
        self._parents = {
            j: {self._column[name] for condition in conditions for name in _parents(condition)}
            for j, conditions in self._conditions.items()
        }
        self.order = self._narrow_order()
        self._refuse_unclear()

    @property
    def flat(self) -> bool:
        """Whether every combination is a configuration."""
        return not (self._conditions or self._forbidden)

    def conditional(self, j: int) -> bool:
        """Whether the hyperparameter of a column may be inactive."""
        return j in self._conditions

    def settle(self, rows: Vector, spare: Callable[[int, int], Vector] | None = None) -> Vector:
        """Turns rows into allowed configurations.

        Args:
            rows: Rows ``(N, D)``, changed in place: inactive entries become ``nan``.
            spare: Called with a column and a number; returns that many values for active hyperparameters
                without a value. None if there are no such hyperparameters.

        Returns:
            The rows that no clause forbids.
        """
        for j in self.order:
            if j in self._conditions:
                active = self._active(rows, j)
                rows[~active, j] = np.nan
                bare = active & np.isnan(rows[:, j])
                if spare is not None and bare.any():
                    rows[bare, j] = spare(j, int(bare.sum()))
        allowed = np.ones(len(rows), dtype=np.bool_)
        for clause, _ in self._forbidden:
            allowed &= ~_hits(clause, rows.T)
        return rows[allowed]

    def every(self) -> Vector:
        """Returns all configurations ``(N, D)``; there must be finitely many."""
        rows = np.full((1, len(self.names)), np.nan)
        for j in self.order:
            rows = self._extended(rows, j, levels_of(self._hps[j]))[0]
            rows = rows[self._mask(rows, j)]
        return rows

    def draw(self, n: int, rng: np.random.RandomState) -> Vector:
        """Draws from the hyperparameters' distributions, including duplicates; ``(<= n, D)``.

        Forbidden combinations are left out.
        """
        columns = [self.spare(j, n, rng) for j in range(len(self.names))]
        return self.settle(np.column_stack(columns).astype(np.float64))

    def spare(self, j: int, n: int, rng: np.random.RandomState) -> Vector:
        """Draws values of one hyperparameter ``(n,)``."""
        return self.exact(j, self._hps[j].sample_vector(n, seed=rng))

    def exact(self, j: int, values: Vector) -> Vector:
        """Rounds numbers to their stored form: floats to a number of decimals, integers to none."""
        hp = self._hps[j]
        if isinstance(hp, FloatHyperparameter):
            return np.asarray(hp.to_vector(np.round(hp.to_value(values), ROUND_PLACES)), dtype=np.float64)
        if isinstance(hp, IntegerHyperparameter):
            return np.asarray(hp.to_vector(hp.to_value(values)), dtype=np.float64)
        return np.asarray(values, dtype=np.float64)

    def sample(self, n: int, seed: int) -> list[Config]:
        """Draws distinct configurations; a longer sample of the same seed begins with the shorter one."""
        rng = np.random.RandomState(seed % 2**32)
        found: dict[bytes, Vector] = {}
        for _ in range(_ROUNDS * (1 + n // _DRAWS)):
            for row in self.draw(_DRAWS, rng):
                found.setdefault(row.tobytes(), row)
            if len(found) >= n:
                break
        return self.configs([*found.values()][:n])

    def configs(self, rows: Iterable[Vector]) -> list[Config]:
        """Converts rows to configurations of plain values without inactive hyperparameters."""
        return [plain(dict(Configuration(self._space, vector=row))) for row in rows]

    def check(self, config: Mapping[str, Any]) -> None:
        """Refuses a configuration that violates a condition or clause.

        Raises:
            UserError: If it does; it names the hyperparameter or clause.
        """
        row = np.full((1, len(self.names)), np.nan)
        for name, value in config.items():
            row[0, self._column[name]] = self._hps[self._column[name]].to_vector(value)
        for j in self.order:
            (active,) = self._active(row, j)
            if active and np.isnan(row[0, j]):
                raise UserError(f"{self.names[j]}: missing in the configuration")
            if not active and not np.isnan(row[0, j]):
                why = " and ".join(map(str, self._conditions[j]))
                raise UserError(
                    f"{self.names[j]}: has no meaning in this configuration ({why}); leave it out"
                )
        for clause, _ in self._forbidden:
            if _hits(clause, row.T)[0]:
                raise UserError(f"configuration: is forbidden by the space ({clause})")

    def active(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the active ones among values given for all hyperparameters."""
        row = np.full((1, len(self.names)), np.nan)
        found = {}
        for j in self.order:  # parents come before the children that depend on them
            if self._active(row, j)[0]:
                found[self.names[j]] = values[self.names[j]]
                row[0, j] = self._hps[j].to_vector(values[self.names[j]])
        return found

    def count(self) -> float:
        """Counts the configurations exactly; infinity if a hyperparameter is a float.

        Hyperparameters are counted one by one, and those that no later rule depends on are dropped, so that
        the time depends on how the rules are connected and not on the number of configurations.

        Raises:
            UserError: If rules depend on too many combinations at a time.
        """
        if any(isinstance(hp, FloatHyperparameter) for hp in self._hps):
            return math.inf
        last = self._last_asked()
        rows, counts = np.full((1, len(self.names)), np.nan), np.ones(1, dtype=object)
        for place, j in enumerate(self.order):
            levels, times = self._classes(j)
            rows, origin, level = self._extended(rows, j, levels)
            counts = counts[origin] * np.where(level < 0, 1, np.append(times, 1)[level])
            kept = self._mask(rows, j)
            rows, counts = rows[kept], counts[kept]
            rows[:, [k for k in self.order[: place + 1] if last.get(k, -1) <= place]] = 0.0
            # NumPy never treats rows with a NaN as equal; values of rows are never below 0.
            rows, inverse = np.unique(np.nan_to_num(rows, nan=-1.0), axis=0, return_inverse=True)
            rows[rows < 0] = np.nan
            total = np.zeros(len(rows), dtype=object)
            np.add.at(total, inverse.ravel(), counts)
            counts = total
            if len(rows) > _MOST_STATES:
                raise UserError(
                    f"hyperparameter {self.names[j]}: its conditions and forbidden clauses have to do with "
                    f"more than {_MOST_STATES:,} combinations at a time; let them say less"
                )
        return int(sum(counts))

    def _narrow_order(self) -> list[int]:
        """Orders parents before children, with few open choices at a time that later rules depend on."""
        askers: dict[int, set[int]] = {j: set() for j in range(len(self.names))}
        for child, parents in self._parents.items():
            for parent in parents:
                askers[parent].add(child)
        for _, asked in self._forbidden:
            for j in asked:
                askers[j] |= asked - {j}
        placed: list[int] = []
        left = set(askers)
        while left:
            ready = sorted(j for j in left if not self._parents.get(j, set()) & left)
            open_after = {j: [k for k in (*placed, j) if askers[k] & (left - {j})] for j in ready}
            widths = {j: sum(math.log(1 + self._hps[k].size) for k in open_after[j]) for j in ready}
            placed.append(min(ready, key=widths.__getitem__))
            left.discard(placed[-1])
        return placed

    def _refuse_unclear(self) -> None:
        for conditions in self._conditions.values():
            for condition in (leaf for c in conditions for leaf in getattr(c, "dlcs", (c,))):
                if isinstance(condition, NotEqualsCondition) and self.conditional(
                    self._column[condition.parent.name]
                ):
                    raise UserError(
                        f"hyperparameter {condition.child.name}: asks whether {condition.parent.name} is not "
                        f"{condition.value!r}, which may be inactive itself; name the values it needs "
                        "instead (InCondition)"
                    )

    def _asked(self, clause: Any) -> set[int]:
        """Returns the columns that a clause depends on."""
        if isinstance(clause, ForbiddenAndConjunction | ForbiddenOrConjunction):
            return set().union(*(self._asked(part) for part in clause.components))
        if isinstance(clause, ForbiddenRelation):
            return {self._column[clause.left.name], self._column[clause.right.name]}
        return {self._column[clause.hyperparameter.name]}

    def _active(self, rows: Vector, j: int) -> Mask:
        active = np.ones(len(rows), dtype=np.bool_)
        for condition in self._conditions.get(j, ()):
            active &= condition.satisfied_by_vector_array(rows.T)
        return active

    def _extended(self, rows: Vector, j: int, levels: Vector) -> tuple[Vector, Any, Any]:
        """Repeats each row for every value of one hyperparameter, or leaves it where that is inactive.

        Returns:
            The rows, which row each comes from, and which value it has (-1 for none).
        """
        active = self._active(rows, j)
        on, off = np.flatnonzero(active), np.flatnonzero(~active)
        origin = np.concatenate([np.repeat(on, len(levels)), off])
        level = np.concatenate([np.tile(np.arange(len(levels)), len(on)), np.full(len(off), -1)])
        found = rows[origin]
        found[:, j] = np.where(level < 0, np.nan, np.append(levels, np.nan)[level])
        return found, origin, level

    def _mask(self, rows: Vector, j: int) -> Mask:
        """Returns which rows are allowed by the clauses whose last hyperparameter is this one."""
        allowed = np.ones(len(rows), dtype=np.bool_)
        done = set(self.order[: self.order.index(j) + 1])
        for clause, asked in self._forbidden:
            if j in asked and asked <= done:
                allowed &= ~_hits(clause, rows.T)
        return allowed

    def _last_asked(self) -> dict[int, int]:
        """Returns for each column the last position in the order that depends on it."""
        place = {j: k for k, j in enumerate(self.order)}
        last: dict[int, int] = {}
        for child, parents in self._parents.items():
            for parent in parents:
                last[parent] = max(last.get(parent, -1), place[child])
        for _, asked in self._forbidden:
            for j in asked:
                last[j] = max(last.get(j, -1), *(place[k] for k in asked))
        return last

    def _classes(self, j: int) -> tuple[Vector, NDArray[np.int64]]:
        """Returns the values that rules distinguish, and how many there are of each kind."""
        hp = self._hps[j]
        if not isinstance(hp, IntegerHyperparameter):
            return levels_of(hp), np.ones(int(hp.size), dtype=np.int64)
        if any(j in asked and _relates(clause, hp.name) for clause, asked in self._forbidden):
            if hp.size > _MOST_STATES:
                raise UserError(
                    f"hyperparameter {hp.name}: a forbidden relation over {hp.size:,} values cannot be "
                    "counted; give it fewer"
                )
            return levels_of(hp), np.ones(int(hp.size), dtype=np.int64)
        named = self._named_values(hp.name)
        edges = sorted({int(hp.lower), int(hp.upper) + 1} | {v for n in named for v in (n, n + 1)})
        edges = [edge for edge in edges if hp.lower <= edge <= hp.upper + 1]
        firsts = np.array(edges[:-1])
        counts = np.array([high - low for low, high in pairwise(edges)], dtype=np.int64)
        return np.asarray(hp.to_vector(firsts), dtype=np.float64), counts

    def _named_values(self, name: str) -> set[int]:
        """Returns the integers that conditions and clauses compare a hyperparameter with."""
        leaves = [leaf for cs in self._conditions.values() for c in cs for leaf in getattr(c, "dlcs", (c,))]
        found = [leaf for leaf in leaves if leaf.parent.name == name]
        found += [
            leaf
            for clause, _ in self._forbidden
            for leaf in _leaves(clause)
            if not isinstance(leaf, ForbiddenRelation) and leaf.hyperparameter.name == name
        ]
        return {int(v) for leaf in found for v in (getattr(leaf, "values", None) or [leaf.value])}


def levels_of(hp: Any) -> Vector:
    """Returns all values of a hyperparameter with finitely many, in ConfigSpace's vector form."""
    if isinstance(hp, IntegerHyperparameter):
        return np.asarray(hp.to_vector(np.arange(hp.lower, hp.upper + 1)), dtype=np.float64)
    if isinstance(hp, Constant):
        return np.array([hp.to_vector(hp.value)], dtype=np.float64)
    return np.arange(int(hp.size), dtype=np.float64)


def _parents(condition: Any) -> Iterable[str]:
    leaves: Iterable[Condition] = getattr(condition, "dlcs", (condition,))
    return [leaf.parent.name for leaf in leaves]


def _leaves(clause: Any) -> list[Any]:
    parts = getattr(clause, "components", None)
    return [clause] if parts is None else [leaf for part in parts for leaf in _leaves(part)]


def _relates(clause: Any, name: str) -> bool:
    return any(
        isinstance(leaf, ForbiddenRelation) and name in (leaf.left.name, leaf.right.name)
        for leaf in _leaves(clause)
    )


def _hits(clause: Any, columns: Vector) -> Mask:
    """Returns which configurations a clause forbids; ConfigSpace 1.2.0 inverts "less or equal"."""
    if isinstance(clause, ForbiddenAndConjunction | ForbiddenOrConjunction):
        hits = np.array([_hits(part, columns) for part in clause.components])
        return np.asarray(hits.all(0) if isinstance(clause, ForbiddenAndConjunction) else hits.any(0))
    if isinstance(clause, ForbiddenLessThanEqualsClause):
        return np.asarray(columns[clause.vector_id] <= clause.vector_value)
    return np.asarray(clause.is_forbidden_vector_array(columns))
