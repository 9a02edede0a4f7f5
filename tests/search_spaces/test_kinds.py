"""Definitions of numbers, and of whole ConfigSpaces: what works, and what is refused by name."""

from __future__ import annotations

import json
import math
from typing import Any

import ConfigSpace as cs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.util.errors import UserError
from search_spaces.base import Float, Hyperparameter, Integer, SearchSpace, config_id


def space_of(*hyperparameters: Any, **more: Any) -> SearchSpace:
    """A space of these, that cannot be built."""
    return type("Made", (SearchSpace,), {"hyperparameters": hyperparameters, "build": _build, **more})()


def _build(self: Any, config: Any) -> None:
    raise NotImplementedError


def given_as(space: cs.ConfigurationSpace) -> SearchSpace:
    return type("Made", (SearchSpace,), {"space": space, "build": _build})()


@pytest.mark.parametrize(
    ("hp", "words"),
    [
        (Integer("x", 3, 3, 3), "lower 3 must be below upper 3"),
        (Integer("x", 1, 8, 9), "default 9 is not within 1 to 8"),
        (Integer("x", 1.0, 8, 2), "lower 1.0 must be a whole number"),
        (Integer("x", 0, 8, 2, log=True), "lower 0 must be above 0 on a log scale"),
        (Integer("x", 0, 2**60, 2), "upper .* is too large"),
        (Integer("x", True, 8, 2), "lower True must be a whole number"),
        (Float("x", 0.0, math.inf, 1.0), "upper inf is not finite"),
        (Float("x", 0.0, math.nan, 1.0), "upper nan is not finite"),
        (Float("x", "0", 1.0, 0.5), "lower '0' must be a number"),
        (Float("x", 1e-15, 1.0, 0.5, log=True), "has more than 13 decimals"),
        (Float("a b", 0.0, 1.0, 0.5), "its name must be letters"),
        (Float("x", 0.0, 1.0, 0.5, meaning=3), "its meaning and source must be text"),
        (Hyperparameter("x", (1, 2), 1, source=None), "its meaning and source must be text"),
    ],
)
def test_ranges_that_do_not_come_back_are_refused(hp: Any, words: str) -> None:
    with pytest.raises(UserError, match=f"hyperparameter .*{words}"):
        space_of(hp)


@pytest.mark.parametrize(
    ("hp", "words"),
    [
        (cs.Integer("x", (1, 9), distribution=cs.Normal(5, 2)), "hyperparameter x: is a NormalInteger"),
        (cs.Float("x", (0, 1), distribution=cs.Normal(0.5, 0.1)), "hyperparameter x: is a NormalFloat"),
        (cs.Float("x", (0, 1), distribution=cs.Beta(2, 2)), "hyperparameter x: is a BetaFloat"),
        (cs.Categorical("x", (1, 2), weights=(1, 3)), "hyperparameter x: has weights"),
        (cs.Categorical("x", ((1, 2), (3, 4))), "hyperparameter x: choice .* is tuple"),
        (cs.Categorical("x", (1, "a")), "hyperparameter x: choices must be of one type"),
        (cs.Categorical("error", (1, 2)), "hyperparameter error: a trial has a figure of that name"),
        (cs.Constant("x", "a\nb"), "hyperparameter x: choice .* must be printable"),
        (cs.Float("a b", (0, 1)), "hyperparameter 'a b': its name must be letters"),
        (cs.Float("x", (0, 1), meta={"meaning": object()}), "hyperparameter x: meta must be text by name"),
        (cs.Float("x", (0, 1), meta="what it is"), "hyperparameter x: meta must be text by name"),
        (cs.Float("x", (0, 1), meta={3: "what"}), "hyperparameter x: meta must be text by name"),
    ],
)
def test_what_a_configspace_holds_works_or_is_refused_by_name(hp: Any, words: str) -> None:
    space = cs.ConfigurationSpace()
    space.add(hp)
    with pytest.raises(UserError, match=words) as caught:
        given_as(space)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("space", [cs.ConfigurationSpace(), {"kernel": (3, 5)}])
def test_an_empty_space_and_none_at_all_are_refused(space: Any) -> None:
    with pytest.raises(UserError, match="^space: (has no hyperparameter|is dict; must be a ConfigSpace)"):
        given_as(space)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.integers(-50, 50), st.integers(1, 300)).map(lambda p: ("i", p[0], p[0] + p[1])),
            st.tuples(st.integers(1, 50), st.integers(1, 300)).map(lambda p: ("il", p[0], p[0] + p[1])),
            st.tuples(st.integers(-50, 50), st.integers(1, 300)).map(
                lambda p: ("f", p[0] / 8, (p[0] + p[1]) / 8)
            ),
            st.tuples(st.integers(1, 50), st.integers(1, 300)).map(
                lambda p: ("fl", p[0] / 8, (p[0] + p[1]) / 8)
            ),
        ),
        min_size=1,
        max_size=4,
    ),
    st.integers(0, 1000),
)
def test_numbers_come_back_from_json_and_configspace(ranges: list[Any], seed: int) -> None:
    kinds = {"i": Integer, "f": Float}
    hps = [
        kinds[kind[0]](f"h{k}", low, high, low, log=kind.endswith("l"))
        for k, (kind, low, high) in enumerate(ranges)
    ]
    space = space_of(*hps)
    assert space.size == math.prod(hp.size for hp in hps)
    for config in [space.default, *space.sample(5, seed)]:
        again = space.validate(json.loads(json.dumps(config)))
        assert again == config
        assert config_id(again) == config_id(config)
        drawn = cs.Configuration(space.configspace(), values=config)
        assert space.validate(drawn) == config
    assert space.sample(5, seed)[:3] == space.sample(3, seed)
    whole = given_as(space.configspace())
    assert whole.default == space.default
    assert list(whole.hyperparameters.values()) == [space.hyperparameters[n] for n in whole.hyperparameters]


def test_a_space_says_how_large_it_is_and_lists_what_is_finite() -> None:
    small = space_of(Integer("a", 1, 3, 1), Hyperparameter("b", ("x", "y"), "x"))
    assert small.size == 6 == len({config_id(config) for config in small.enumerate()})
    assert len(small.sample(100, 0)) == 6
    endless = space_of(Float("a", 0.0, 1.0, 0.5))
    assert endless.size == math.inf
    with pytest.raises(UserError, match="infinitely many"):
        next(endless.enumerate())


def test_the_fingerprint_follows_everything_a_run_depends_on() -> None:
    def conditional(value: str, forbid: bool = False) -> SearchSpace:
        space = cs.ConfigurationSpace()
        space.add(a := cs.Categorical("a", ("x", "y")), b := cs.Integer("b", (1, 4)))
        space.add(cs.EqualsCondition(b, a, value))
        if forbid:
            space.add(cs.ForbiddenEqualsClause(b, 4))
        return given_as(space)

    spaces = [
        space_of(Integer("a", 1, 3, 1)),
        space_of(Integer("a", 1, 4, 1)),
        space_of(Integer("a", 1, 4, 2)),
        space_of(Integer("a", 1, 4, 2, log=True)),
        space_of(Float("a", 1, 4, 2, log=True)),
        space_of(Float("lr", 1, 4, 2, log=True)),
        space_of(Float("lr", 1, 4, 2, log=True), training=("lr",)),
        conditional("x"),
        conditional("y"),
        conditional("y", forbid=True),
    ]
    assert len({space.fingerprint for space in spaces}) == len(spaces)
    assert space_of(Float("a", 1, 4, 2)).fingerprint == space_of(Float("a", 1.0, 4.0, 2.0)).fingerprint


def test_an_inactive_hyperparameter_is_named_where_it_does_not_belong() -> None:
    space = cs.ConfigurationSpace()
    space.add(a := cs.Categorical("a", ("x", "y")), b := cs.Integer("b", (1, 4)))
    space.add(cs.EqualsCondition(b, a, "y"), cs.ForbiddenEqualsClause(b, 4))
    made = given_as(space)
    assert made.default == {"a": "x"}
    assert made.validate({"a": "y", "b": 2}) == {"a": "y", "b": 2}
    assert made.size == 4
    changed = made.changes({"a": "y", "b": 2})
    assert changed == [("a", "x", "y"), ("b", None, 2)]
    for config, words in (
        ({"a": "y"}, "b: missing in the configuration"),
        ({"a": "x", "b": 2}, r"b: has no meaning in this configuration \(b | a == 'y'\)"),
        ({"a": "y", "b": 4}, "configuration: is forbidden by the space"),
        ({"a": "y", "b": 9}, "b: must be a whole number from 1 to 4, got 9"),
    ):
        with pytest.raises(UserError, match=words):
            made.validate(config)


def test_words_go_with_the_space_and_into_its_file() -> None:
    made = space_of(Integer("a", 1, 3, 1, meaning="what it is", source="where from"))
    assert made.configspace()["a"].meta == {"meaning": "what it is", "source": "where from"}
    again = given_as(made.configspace())
    assert again.hyperparameters["a"].meaning == "what it is"
    assert (made.name, made.title) == ("made", "Made")
