"""A space that a run's files could not give back is refused where it is defined, in one line."""

from __future__ import annotations

import enum
import json
import math
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import search_spaces
from nas.util.errors import UserError
from search_spaces.base import Hyperparameter, _canonical


class Colour(enum.IntEnum):
    RED = 1


def make(choices, default=None, name="x"):
    hp = Hyperparameter(name, choices, choices[0] if default is None else default, "what", "me")
    hp.check()
    return hp


@pytest.mark.parametrize(
    ("choices", "words"),
    [
        (((1, 2), (3, 4)), "choice .1, 2. is tuple; must be a str, int, float or bool"),
        ((1.0, math.inf), "choice inf is not finite"),
        ((1.0, math.nan), "choice nan is not finite"),
        ((frozenset({1}), frozenset()), "is frozenset"),
        ((1, 2**70), "is too large"),
        ((Colour.RED,), "is Colour"),
        ((np.int64(3), np.int64(5)), "is int64"),
        ((None, "a"), "choice None is NoneType"),
        ((Fraction(1, 2),), "is Fraction"),
        (("a", ""), "choice '' must be printable"),
        (("a", "b\n"), "must be printable"),
        (("a", "\udcff"), "must be printable"),
        ((0.1, 0.5, 1), "choices must be of one type .1 is int|must be of one type .0.5 is float, 1 is int"),
        ((False, 2, 4), "must be of one type"),
        ((1, True), "must be of one type"),
        ((1, 1.0), "must be of one type"),
        ((3, 5, 3), "choice 3 occurs twice"),
        ((0.0, -0.0), "occurs twice"),
    ],
)
def test_choices_that_do_not_come_back_are_refused(choices, words):
    with pytest.raises(UserError, match=f"^hyperparameter x: .*{words}"):
        make(choices)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"choices": ()}, "must have choices"),
        ({"choices": "abc"}, "must have choices, as a tuple"),
        ({"default": 7}, "default 7 is not one of its choices"),
        ({"default": True}, "default True is not one of its choices"),
        ({"default": 1.0}, "default 1.0 is not one of its choices"),
        ({"name": ""}, "its name must be letters"),
        ({"name": "a x b"}, "its name must be letters"),
        ({"name": 3}, "its name must be letters"),
        ({"name": "n" * 200}, "its name must be letters"),
    ],
)
def test_other_definitions_that_cannot_work_are_refused(fields, words):
    with pytest.raises(UserError, match=words):
        Hyperparameter(
            **{"name": "x", "choices": (1, 2), "default": 1, "meaning": "", "source": "", **fields}
        ).check()


plain_values = st.one_of(
    st.lists(st.integers(-(2**53), 2**53), unique=True, min_size=1),
    st.lists(st.floats(allow_nan=False, allow_infinity=False), unique=True, min_size=1),
    st.lists(st.text(min_size=1), unique=True, min_size=1),
    st.just([False, True]),
)


@given(plain_values)
def test_what_is_accepted_comes_back_from_json(choices):
    try:
        hp = make(tuple(choices))
    except UserError:
        return
    back = json.loads(_canonical(list(hp.choices)))
    assert back == list(hp.choices)
    assert [type(value) for value in back] == [type(value) for value in hp.choices]
    assert [hp.canonical(value) for value in back] == list(hp.choices)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (
            "raise RuntimeError('no GPU\\nat all')",
            "cannot be loaded, its code ended with RuntimeError .no GPU.",
        ),
        ("import sys; sys.exit(3)", "cannot be loaded, its code ended with SystemExit .3."),
        ("1 / 0", "cannot be loaded, its code ended with ZeroDivisionError"),
        ("def", "cannot be loaded, its code ended with SyntaxError"),
        ("import not_there_at_all", "cannot be loaded .No module named 'not_there_at_all'."),
        (
            "from search_spaces.base import Hyperparameter as H, SearchSpace\n"
            "class Mine(SearchSpace):\n    hyperparameters = {'x': H('x', (), 1, '', '')}",
            "hyperparameter x: must have choices",
        ),
    ],
)
def test_a_module_that_fails_while_it_is_loaded_is_one_line(tmp_path, monkeypatch, code, words):
    (tmp_path / "odd_space.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UserError, match=f"^search space odd_space:Mine: {words}") as caught:
        search_spaces.get("odd_space:Mine")
    assert "\n" not in str(caught.value)
    sys.modules.pop("odd_space", None)
