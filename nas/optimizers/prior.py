"""A user's prior beliefs about which values are likely to be good (piBO, arXiv 2204.11051)."""

from __future__ import annotations

import difflib
import json
import math
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from ConfigSpace import CategoricalHyperparameter, OrdinalHyperparameter
from ConfigSpace.hyperparameters import FloatHyperparameter

from nas.optimizers.settings import NO_PRIOR
from nas.util.errors import SettingError
from search_spaces.base import Float, Hyperparameter
from search_spaces.rules import Rules

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from search_spaces.base import Integer, Parameter, SearchSpace

    Vector = NDArray[np.float64]

_LIKELY = 5.0  # default: this many times as likely as any other value
_TO = ".."
_DRAWS = 4096  # integers drawn, of which those in the believed intervals are kept
_SLACK = 1e-9  # of the unit interval, for bounds that were rounded when written


class _Belief(Protocol):
    """The belief about one hyperparameter; columns are of ConfigSpace's vectors, all active."""

    def log_density(self, column: Vector) -> Vector:
        """Returns the log probability of values ``(N,)`` relative to the likeliest."""
        ...

    def sample(self, n: int, rng: np.random.RandomState) -> Vector:
        """Draws ``(n,)`` values."""
        ...


class _Choices:
    """Probabilities of choices."""

    def __init__(self, weights: Vector) -> None:
        self._logs = np.log(weights / weights.sum())

    def log_density(self, column: Vector) -> Vector:
        return np.asarray(self._logs[column.astype(np.int64)] - np.max(self._logs), dtype=np.float64)

    def sample(self, n: int, rng: np.random.RandomState) -> Vector:
        return rng.choice(len(self._logs), n, p=np.exp(self._logs)).astype(np.float64)


class _Numbers:
    """Probabilities of intervals of a range, relative to the rest of it.

    "Likely" refers to the range's distribution: on a logarithmic range, to ratios.
    """

    def __init__(self, column: int, hp: Any, rules: Rules, intervals: Sequence[tuple[float, float, float]]):
        """Takes first and last number and factor of each interval; where two overlap, the later counts."""
        self._column, self._rules = column, rules
        self._continuous = isinstance(hp, FloatHyperparameter)
        self._intervals = [
            (float(hp.to_vector(low)), float(hp.to_vector(high)), times) for low, high, times in intervals
        ]
        edges = {0.0, 1.0, *(edge for low, high, _ in self._intervals for edge in (low, high))}
        self._edges = np.array(sorted(edges))
        middles = (self._edges[1:] + self._edges[:-1]) / 2
        self._pieces = self._weights(middles if self._continuous else rules.exact(column, middles))
        self._most = float(max(np.max(self._pieces), np.max(self._weights(self._edges))))

    def log_density(self, column: Vector) -> Vector:
        return np.asarray(np.log(self._weights(column) / self._most), dtype=np.float64)

    def sample(self, n: int, rng: np.random.RandomState) -> Vector:
        if self._continuous:
            masses = np.diff(self._edges) * self._pieces
            piece = rng.choice(len(masses), n, p=masses / masses.sum())
            values = self._edges[piece] + np.diff(self._edges)[piece] * rng.uniform(size=n)
            return self._rules.exact(self._column, values)
        drawn = self._rules.spare(self._column, max(n, _DRAWS), rng)
        weights = self._weights(drawn)
        return np.asarray(rng.choice(drawn, n, p=weights / weights.sum()), dtype=np.float64)

    def _weights(self, column: Vector) -> Vector:
        weights = np.ones(len(column))
        for low, high, times in self._intervals:
            weights[(low - _SLACK <= column) & (column <= high + _SLACK)] = times
        return weights


class Prior:
    """Independent beliefs about all hyperparameters: how probable each value is in the best configuration."""

    def __init__(self, beliefs: Sequence[_Belief | None], rules: Rules) -> None:
        """Takes the beliefs by hyperparameter, in the order of a row's columns.

        Args:
            beliefs: Beliefs; None for a range or constant without any.
            rules: The allowed combinations.
        """
        self._beliefs = beliefs
        self._rules = rules

    @classmethod
    def parse(cls, text: str, space: SearchSpace) -> Prior | None:
        """Parses beliefs such as ``bottleneck=true,norm=batch:2,dropout=0.1..0.2``; "none" gives None.

        Args:
            text: Choices by hyperparameter, or of an ordered one all from one to another, each with how
                many times as likely it is as any other value that is not named.
            space: The search space.

        Raises:
            UserError: If a part is invalid; it names the part and what would be valid.
        """
        if text == NO_PRIOR:
            return None
        configspace = space.configspace()
        rules = Rules(configspace)
        weights = {
            name: np.ones(hp.size)
            for name, hp in configspace.items()  # ConfigSpace sorts by name
            if isinstance(hp, CategoricalHyperparameter | OrdinalHyperparameter)
        }
        intervals: dict[str, list[tuple[float, float, float]]] = {}
        for part in text.split(","):
            name, given, value = (piece.strip() for piece in part.partition("="))
            if not given:
                raise SettingError(
                    "prior", part, "must be HYPERPARAMETER=CHOICE or HYPERPARAMETER=CHOICE:TIMES"
                )
            hp = _hyperparameter(name, space.hyperparameters)
            if not isinstance(hp, Hyperparameter):
                intervals.setdefault(name, []).append(_interval(value, hp))
            elif name in weights:
                chosen, times = _weighted(value, hp)
                weights[name][chosen] = times
            else:
                raise SettingError("prior", name, "has one value only, there is nothing to believe; leave it")
        beliefs: list[_Belief | None] = []
        for column, (name, one) in enumerate(configspace.items()):
            if name in weights:
                beliefs.append(_Choices(weights[name]))
            else:
                said = intervals.get(name)
                beliefs.append(_Numbers(column, one, rules, said) if said else None)
        return cls(beliefs, rules)

    def log_density(self, rows: Vector) -> Vector:
        """Returns the log probability ``(N,)`` of configurations ``(N, D)``, 0 for the likeliest.

        What is inactive, and what nothing is believed of, counts for nothing.
        """
        total = np.zeros(len(rows))
        for d, belief in ((d, belief) for d, belief in enumerate(self._beliefs) if belief is not None):
            active = ~np.isnan(rows[:, d])
            total[active] += belief.log_density(rows[active, d])
        return total

    def sample(self, n: int, rng: np.random.RandomState) -> Vector:
        """Draws configurations ``(<= n, D)``; forbidden ones are left out."""
        columns = [
            self._rules.spare(d, n, rng) if belief is None else belief.sample(n, rng)
            for d, belief in enumerate(self._beliefs)
        ]
        return self._rules.settle(np.column_stack(columns).astype(np.float64))


def _hyperparameter(name: str, known: Mapping[str, Parameter]) -> Parameter:
    if name in known:
        return known[name]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise SettingError("prior", name, f"no such hyperparameter; {hint}there are {', '.join(known)}")


def _weighted(value: str, hp: Hyperparameter) -> tuple[slice, float]:
    """Returns choices by their indices, and their weight; a choice may contain a colon or dots."""
    texts = [choice if isinstance(choice, str) else json.dumps(choice) for choice in hp.choices]
    choice, _, times = value.rpartition(":")
    if value in texts or not choice:
        choice, times = value, str(_LIKELY)
    first, to, last = (choice, "", choice) if choice in texts else choice.partition(_TO)
    last = last if to else first
    if first not in texts or last not in texts:
        raise SettingError("prior", f"{hp.name}={value}", f"must be one of {', '.join(texts)}")
    if to and not hp.ordinal:
        rule = "its choices have no order; name each of them"
        raise SettingError("prior", f"{hp.name}={value}", rule)
    low, high = texts.index(first), texts.index(last)
    if low > high:
        raise SettingError("prior", f"{hp.name}={value}", f"{last} comes before {first}; swap them")
    return slice(low, high + 1), _times(times, hp, value)


def _interval(value: str, hp: Integer | Float) -> tuple[float, float, float]:
    """Returns first and last number and their weight; either may be left out for the end of the range."""
    span, given, times = value.partition(":")
    first, to, last = (piece.strip() for piece in span.partition(_TO))
    if not first and not last:
        rule = f"must name a number from {hp.lower:g} to {hp.upper:g}, or two with {_TO} between"
        raise SettingError("prior", f"{hp.name}={value}", rule)
    if not to and isinstance(hp, Float):
        such = f"{hp.lower:g}{_TO}{hp.upper:g}"
        rule = f"cannot be one number of a continuous range; must be an interval such as {such}"
        raise SettingError("prior", f"{hp.name}={value}", rule)
    ends = [first, last] if to else [first, first]
    low, high = (
        _number(end or str(own), hp, value) for end, own in zip(ends, (hp.lower, hp.upper), strict=True)
    )
    if low > high or (low == high and isinstance(hp, Float)):
        raise SettingError("prior", f"{hp.name}={value}", "the first number must be below the last")
    return low, high, _times(times if given else str(_LIKELY), hp, value)


def _number(text: str, hp: Integer | Float, value: str) -> float:
    try:
        number = float(text) if isinstance(hp, Float) else int(text)
    except ValueError:
        number = math.nan
    if not hp.lower <= number <= hp.upper:
        kind = "numbers" if isinstance(hp, Float) else "whole numbers"
        rule = f"{text} must be one of the {kind} from {hp.lower} to {hp.upper}"
        raise SettingError("prior", f"{hp.name}={value}", rule)
    return number


def _times(text: str, hp: Parameter, value: str) -> float:
    try:
        weight = float(text)
    except ValueError:
        weight = math.nan
    if not (1e-3 <= weight <= 1e3):
        raise SettingError("prior", f"{hp.name}={value}", f"{text} must be a number from 0.001 to 1000")
    return weight
