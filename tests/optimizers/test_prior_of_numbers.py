"""Beliefs in whole numbers, numbers and ordered choices: read as said, drawn from, outweighed in the end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.optimizers import create
from nas.optimizers.prior import Prior
from nas.optimizers.protocol import Fidelity, Outcome
from nas.optimizers.settings import OptimizerSettings
from nas.optimizers.smac.acquisition import LogImprovement
from nas.optimizers.smac.candidates import Candidates
from nas.optimizers.smac.gaussian_process import GaussianProcess
from nas.util.errors import UserError
from search_spaces.base import Config, Float, Hyperparameter, Integer, SearchSpace

FIDELITY = Fidelity(1, 9, 3)


class Numbers(SearchSpace):
    """Every kind of number, and choices with and without an order."""

    hyperparameters = (
        Integer("depth", 1, 6, default=2),
        Integer("width", 4, 512, default=16, log=True),
        Float("dropout", 0.0, 0.5, default=0.1),
        Float("decay", 1e-6, 1e-1, default=1e-3, log=True),
        Hyperparameter("kernel", (3, 5, 7, 9), 3, ordinal=True),
        Hyperparameter("act", ("relu", "gelu", "a..b"), "relu"),
    )

    def build(self, config: Any) -> Any:
        raise NotImplementedError


SPACE = Numbers()
ROWS = Candidates(SPACE.configspace())


def read(text: str) -> Prior:
    prior = Prior.parse(text, SPACE)
    assert prior is not None
    return prior


def density(prior: Prior, **changed: Any) -> float:
    row = ROWS.encode({**SPACE.default, **changed}).get_array()
    return float(prior.log_density(row[None])[0])


@given(data=st.data())
def test_an_interval_is_as_likely_as_the_user_says(data: Any) -> None:
    name = data.draw(st.sampled_from(["depth", "width", "dropout", "decay"]))
    hp: Any = SPACE.hyperparameters[name]
    low, high = sorted(data.draw(st.lists(values(hp), min_size=2, max_size=2, unique=True)))
    times = data.draw(st.floats(0.01, 100))
    prior = read(f"{name}={low!r}..{high!r}:{times!r}")
    believed, other = data.draw(values(hp, low, high)), data.draw(values(hp))
    expected = 0.0 if low <= other <= high else float(np.log(times))
    gap = density(prior, **{name: believed}) - density(prior, **{name: other})
    assert gap == pytest.approx(expected, abs=1e-9)
    for end in (low, high, hp.lower, hp.upper):
        assert density(prior, **{name: end}) <= 0


def values(hp: Any, low: float | None = None, high: float | None = None) -> Any:
    """Numbers of a range, of few decimals as ConfigSpace keeps them."""
    low, high = hp.lower if low is None else low, hp.upper if high is None else high
    if isinstance(hp, Integer):
        return st.integers(int(low), int(high))
    steps = round((high - low) * 1e6)
    return st.integers(0, steps).map(lambda step: min(round(low + step * 1e-6, 9), high))


def test_ends_may_be_left_out_and_later_beliefs_count() -> None:
    assert density(read("dropout=..0.2"), dropout=0.0) == 0.0
    assert density(read("dropout=..0.2"), dropout=0.3) == pytest.approx(-np.log(5))
    assert density(read("depth=4..:2"), depth=6) == 0.0
    assert density(read("depth=4"), depth=4) - density(read("depth=4"), depth=5) == pytest.approx(np.log(5))
    nested = read("dropout=0..0.4:2,dropout=0.1..0.2:8")
    assert density(nested, dropout=0.15) == 0.0
    assert density(nested, dropout=0.3) == pytest.approx(-np.log(4))
    assert density(nested, dropout=0.45) == pytest.approx(-np.log(8))


def test_ordered_choices_have_intervals_too_and_a_choice_may_look_like_one() -> None:
    prior = read("kernel=5..7:4,act=a..b")
    best = {"kernel": 5, "act": "a..b"}
    assert density(prior, **best) == density(prior, **best | {"kernel": 7}) == 0.0
    assert density(prior, **best | {"kernel": 9}) == pytest.approx(-np.log(4))
    assert density(prior, **best | {"act": "relu"}) == pytest.approx(-np.log(5))


@pytest.mark.parametrize(
    ("text", "name", "share"),
    [
        ("dropout=0.1..0.2:4", "dropout", (0.1, 0.2, 0.5)),  # a fifth of the range, 4 times as likely
        ("decay=1e-6..1e-5:4", "decay", (1e-6, 1e-5, 0.5)),  # by ratios
        ("depth=5..6:2", "depth", (5, 6, 0.5)),
        ("depth=5..6:0.001", "depth", (5, 6, 0.0)),
    ],
)
def test_draws_follow_it(text: str, name: str, share: tuple[float, float, float]) -> None:
    low, high, expected = share
    drawn = [ROWS.decode(row)[name] for row in read(text).sample(4000, np.random.RandomState(0))]
    assert np.mean([low <= value <= high for value in drawn]) == pytest.approx(expected, abs=0.03)
    if isinstance(SPACE.hyperparameters[name], Float):
        assert len(set(drawn)) > 3000
    for row in read(text).sample(50, np.random.RandomState(1)):
        config = dict(ROWS.decode(row))
        assert SPACE.validate(config)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("dropout=0.1", r"cannot be one number of a continuous range; must be an interval such as 0\.\.0.5"),
        ("dropout=0.2..0.2", "the first number must be below the last"),
        ("dropout=0.3..0.2", "the first number must be below the last"),
        ("dropout=0.3..0.9", "0.9 must be one of the numbers from 0.0 to 0.5"),
        ("dropout=nan..0.2", "nan must be one of the numbers"),
        ("dropout=0.1..0.2:0", "0 must be a number from 0.001 to 1000"),
        ("dropout=0.1..0.2:", " must be a number from 0.001 to 1000"),
        ("depth=2.5..4", "2.5 must be one of the whole numbers from 1 to 6"),
        ("depth=0", "0 must be one of the whole numbers from 1 to 6"),
        ("depth=", "must name a number from 1 to 6, or two with .. between"),
        ("depth=..:3", "must name a number from 1 to 6"),
        ("depth=many..4", "many must be one of the whole numbers"),
        ("act=relu..gelu", "its choices have no order; name each of them"),
        ("kernel=7..5", "5 comes before 7; swap them"),
        ("kernel=4..5", "must be one of 3, 5, 7, 9"),
        ("kernel=5..", "must be one of 3, 5, 7, 9"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(text: str, words: str) -> None:
    with pytest.raises(UserError, match=f"^prior={text.split('=')[0]}=.*{words}") as caught:
        Prior.parse(text, SPACE)
    assert "\n" not in str(caught.value)


def test_trials_outweigh_it_and_even_odds_are_none() -> None:
    rows = ROWS.unseen(60, set(), np.random.RandomState(0))
    errors = np.array([error(dict(ROWS.decode(row))) for row in rows])
    model = GaussianProcess(SPACE.configspace())
    model.train(rows[:40], errors[:40])
    texts = ("dropout=0..0.5:3,depth=1..6:7", "dropout=0.4..0.5:100")
    even, believed = (LogImprovement(read(text)) for text in texts)

    def shares(finished: int) -> Any:
        for criterion in (even, believed):
            criterion.update(model=model, eta=float(errors[:40].min()), finished=finished)
        return np.exp(believed._compute(rows[40:]) - even._compute(rows[40:]))

    assert read(texts[0]).log_density(rows) == pytest.approx(np.zeros(len(rows)))
    assert shares(1).min() < 1e-10
    assert shares(10).min() == pytest.approx(0.01)
    assert shares(1000).min() > 0.95


def error(config: Config) -> float:
    found = 0.2 + abs(float(config["dropout"]) - 0.1) + 0.02 * abs(int(config["depth"]) - 5)
    return found + 0.05 * (config["act"] == "gelu")


def test_a_wrong_belief_begins_the_search_and_does_not_bind_it() -> None:
    settings = OptimizerSettings(prior="dropout=0.35..0.5:20,depth=1..2:20")
    optimizer = create("smac", SPACE, FIDELITY, 0, settings)
    asked = []
    for place in range(120):
        one = optimizer.ask()
        assert one is not None
        asked.append(one)
        figure = min(error(one.config) + 0.2 / one.epochs, 1.0)
        optimizer.tell(one, Outcome(figure, 1.0, float(place), place + 1.0))
    drawn = [one.config for one in asked if one.origin == "prior"]
    assert np.mean([float(config["dropout"]) >= 0.35 for config in drawn]) > 0.5
    late = [one.config for one in asked[60:] if one.epochs == 1]
    assert np.median([float(config["dropout"]) for config in late]) < 0.3
    again = create("smac", SPACE, FIDELITY, 0, settings)
    for place, one in enumerate(asked):
        again.replay(one)
        figure = min(error(one.config) + 0.2 / one.epochs, 1.0)
        again.tell(one, Outcome(figure, 1.0, float(place), place + 1.0))
    assert again.ask() == optimizer.ask()
