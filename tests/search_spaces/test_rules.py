"""Conditions and forbidden clauses over any small ConfigSpace, against ConfigSpace itself."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from ConfigSpace import (
    AndConjunction,
    Categorical,
    Configuration,
    ConfigurationSpace,
    EqualsCondition,
    ForbiddenAndConjunction,
    ForbiddenEqualsClause,
    ForbiddenInClause,
    ForbiddenLessThanRelation,
    GreaterThanCondition,
    InCondition,
    Integer,
    LessThanCondition,
    NotEqualsCondition,
    OrConjunction,
)
from ConfigSpace.forbidden import ForbiddenGreaterThanClause, ForbiddenLessThanEqualsClause
from hypothesis import given, settings
from hypothesis import strategies as st

from nas.util.errors import UserError
from search_spaces.base import config_id
from search_spaces.rules import Rules


@st.composite
def spaces(draw: Any) -> ConfigurationSpace:
    """Up to five hyperparameters; each may hang on one or two before it; up to two clauses."""
    space = ConfigurationSpace(name="any")
    hps: list[Any] = []
    conditional: set[str] = set()
    for number in range(draw(st.integers(1, 5))):
        size, name = draw(st.integers(2, 4)), f"h{number}"
        kind = draw(st.sampled_from(["choice", "scale", "whole"]))
        if kind == "whole":
            hp: Any = Integer(name, (1, size), log=draw(st.booleans()))
        else:
            hp = Categorical(name, tuple(range(1, size + 1)), ordered=kind == "scale")
        space.add(hp)
        parents = draw(st.lists(st.sampled_from(hps), max_size=2, unique_by=lambda h: h.name)) if hps else []
        conditions = [_condition(draw, hp, parent, parent.name in conditional) for parent in parents]
        if len(conditions) == 2:
            joined = draw(st.sampled_from([AndConjunction, OrConjunction]))
            conditions = [joined(*conditions)]
        if conditions:
            space.add(conditions[0])
            conditional.add(name)
        hps.append(hp)
    for _ in range(draw(st.integers(0, 2))):
        try:
            space.add(_clause(draw, hps))
        except Exception:
            continue
    return space


def _condition(draw: Any, child: Any, parent: Any, inactive: bool) -> Any:
    value = draw(st.integers(1, parent.size))
    kinds: list[Any] = [EqualsCondition, InCondition]
    if not inactive:
        kinds.append(NotEqualsCondition)
    if parent.ORDERABLE:
        kinds += [LessThanCondition, GreaterThanCondition]
    kind = draw(st.sampled_from(kinds))
    return kind(child, parent, [value, 1] if kind is InCondition else value)


def _clause(draw: Any, hps: list[Any]) -> Any:
    def single() -> Any:
        hp = draw(st.sampled_from(hps))
        value = draw(st.integers(1, hp.size))
        kinds: list[Any] = [ForbiddenEqualsClause, ForbiddenInClause]
        if hp.ORDERABLE:
            kinds += [ForbiddenLessThanEqualsClause, ForbiddenGreaterThanClause]
        kind = draw(st.sampled_from(kinds))
        return kind(hp, [value, hp.size] if kind is ForbiddenInClause else value)

    if len(hps) > 1 and draw(st.booleans()):
        left, right = draw(st.permutations(hps))[:2]
        if type(left) is type(right):
            return ForbiddenLessThanRelation(left, right)
    return ForbiddenAndConjunction(single(), single())


def brute(space: ConfigurationSpace) -> set[bytes]:
    """All rows that ConfigSpace takes, by trying each combination, inactive included."""
    found = set()
    columns = []
    for hp in space.values():
        values = np.arange(1, hp.size + 1)
        columns.append([*(float(hp.to_vector(int(value))) for value in values), np.nan])
    for values in itertools.product(*columns):
        row = np.array(values)
        try:
            Configuration(space, vector=row).check_valid_configuration()
        except Exception:
            continue
        found.add(row.tobytes())
    return found


@settings(max_examples=60)
@given(space=spaces(), seed=st.integers(0, 99))
def test_what_there_is_is_what_configspace_takes(space: ConfigurationSpace, seed: int) -> None:
    rules = Rules(space)
    every = {row.tobytes() for row in rules.every()}
    assert every == brute(space)
    assert rules.count() == len(every)
    drawn = rules.draw(50, np.random.RandomState(seed))
    assert {row.tobytes() for row in drawn} <= every
    for config in rules.configs(drawn[:5]):
        rules.check(config)
    sample = rules.sample(5, seed)
    assert rules.sample(9, seed)[: len(sample)] == sample
    assert len({config_id(config) for config in sample}) == len(sample)


def test_large_spaces_are_counted_without_being_listed() -> None:
    space = ConfigurationSpace()
    expected = 1
    for number in range(12):
        space.add(parent := Categorical(f"c{number}", ("a", "b", "c")))
        space.add(child := Integer(f"i{number}", (1, 1000)))
        space.add(EqualsCondition(child, parent, "a"))
        expected *= 1000 + 2
    space.add(
        ForbiddenAndConjunction(
            ForbiddenEqualsClause(space["i0"], 7), ForbiddenEqualsClause(space["c1"], "b")
        )
    )
    expected -= (expected // 1002**2) * 1  # one pair of (c0=a, i0=7) with c1=b, all others free
    assert Rules(space).count() == expected


def test_what_has_no_clear_meaning_is_refused() -> None:
    space = ConfigurationSpace()
    space.add(a := Categorical("a", (1, 2)), b := Categorical("b", (1, 2)), c := Categorical("c", (1, 2)))
    space.add(EqualsCondition(b, a, 1), NotEqualsCondition(c, b, 2))
    with pytest.raises(UserError, match="hyperparameter c: asks whether b is not 2, which may be inactive"):
        Rules(space)
