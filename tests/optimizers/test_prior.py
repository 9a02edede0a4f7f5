"""What a user believes: read as said, drawn from, and outweighed in the end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import search_spaces
from nas.optimizers import create
from nas.optimizers.prior import Prior
from nas.optimizers.protocol import Fidelity
from nas.optimizers.settings import OptimizerSettings
from nas.optimizers.smac.acquisition import LogImprovement
from nas.optimizers.smac.candidates import Candidates
from nas.optimizers.smac.gaussian_process import GaussianProcess
from nas.util.errors import UserError
from search_spaces.base import Config, SearchSpace

from .conftest import true_error

SPACE = search_spaces.get("nexception")
ROWS = Candidates(SPACE.configspace())
FIDELITY = Fidelity(1, 9, 3)


def density(prior: Prior, config: Config) -> float:
    return float(prior.log_density(ROWS.encode(config).get_array()[None])[0])


def read(text: str) -> Prior:
    prior = Prior.parse(text, SPACE)
    assert prior is not None
    return prior


@given(data=st.data())
def test_a_choice_is_as_likely_as_the_user_says(data: Any) -> None:
    name = data.draw(st.sampled_from(list(SPACE.hyperparameters)))
    hp = SPACE.hyperparameters[name]
    believed, other = data.draw(st.permutations(hp.choices))[:2]
    times = data.draw(st.floats(0.01, 100))
    text = str(believed).lower() if isinstance(believed, bool) else str(believed)
    prior = read(f"{name}={text}:{times}")
    config = SPACE.sample(1, data.draw(st.integers(0, 1000)))[0]
    gap = density(prior, {**config, name: believed}) - density(prior, {**config, name: other})
    assert gap == pytest.approx(np.log(times), abs=1e-9)


def test_several_choices_and_the_usual_weight() -> None:
    prior = read("kernel_mid=5:4, kernel_mid=7:2,bottleneck=true")
    best = {**SPACE.default, "kernel_mid": 5, "bottleneck": True}
    assert density(prior, best) == 0.0
    assert density(prior, {**best, "kernel_mid": 7}) == pytest.approx(-np.log(2))
    assert density(prior, {**best, "kernel_mid": 9}) == pytest.approx(-np.log(4))
    assert density(prior, {**best, "bottleneck": False}) == pytest.approx(-np.log(5))


def test_draws_follow_it() -> None:
    drawn = read("kernel_mid=9:3").sample(4000, np.random.RandomState(0))
    kernels = [ROWS.decode(row)["kernel_mid"] for row in drawn]
    assert np.mean([kernel == 9 for kernel in kernels]) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(
    "text",
    ["", "se", "se=", "se=:3", "se=yes", "=true", "se=true:0", "se=true:nan", "se=true,", "se=true:1e9"],
)
def test_what_is_no_prior_is_refused_by_name(text: str) -> None:
    with pytest.raises(UserError, match="^prior="):
        Prior.parse(text, SPACE)


def test_a_setting_that_is_no_text_is_refused() -> None:
    with pytest.raises(UserError, match="prior=5: must be text"):
        OptimizerSettings(prior=5)  # type: ignore[arg-type]


def test_trials_outweigh_it(space: SearchSpace) -> None:
    rows = ROWS.unseen(60, set(), np.random.RandomState(0))
    errors = np.array([true_error(dict(ROWS.decode(row))) for row in rows])
    model = GaussianProcess(space.configspace())
    model.train(rows[:40], errors[:40])
    prior = read("activation=relu:100")
    plain, believed = (LogImprovement(p) for p in (read("activation=relu:1"), prior))

    def share(finished: int) -> float:
        for criterion in (plain, believed):
            criterion.update(model=model, eta=float(errors[:40].min()), finished=finished)
        return float(np.exp(believed._compute(rows[40:]) - plain._compute(rows[40:])).min())

    assert share(1) < 1e-10
    assert share(10) == pytest.approx(0.01)
    assert share(1000) > 0.95


def test_the_search_begins_with_it_and_a_wrong_one_does_not_bind_it(driver: Any) -> None:
    wrong = "activation=relu,stem=conv,pool=max,bottleneck=false"  # the worst choices of the known error
    search = driver(create("smac", SPACE, FIDELITY, 0, OptimizerSettings(prior=wrong)))
    asked = search.serial(120)
    drawn = [s.config for s in asked if s.origin == "prior"]
    assert len(drawn) == 7  # of nine, after the default and NEXcepTion
    assert np.mean([config["stem"] == "conv" for config in drawn]) > 0.5
    late = [s.config for s in asked[60:] if s.epochs == FIDELITY.rungs[0]]
    assert np.mean([config["stem"] == "patchify" for config in late]) > 0.5


def test_a_break_changes_nothing(driver: Any) -> None:
    settings = OptimizerSettings(prior="stem=conv:3", initial_configs=4, min_trials=2)
    search = driver(create("smac", SPACE, FIDELITY, 3, settings))
    search.serial(20)
    resumed = create("smac", SPACE, FIDELITY, 3, settings)
    search.replay_into(resumed)
    assert search.optimizer.ask() == resumed.ask()
