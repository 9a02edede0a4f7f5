"""Expected improvement by its logarithm, and numbers that climb to where it is highest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from ConfigSpace import Categorical, ConfigurationSpace, EqualsCondition, Float, Integer
from scipy.stats import norm

from benchmarks.quality.bumps import Bumps
from nas.optimizers import create
from nas.optimizers.protocol import Outcome
from nas.optimizers.smac.acquisition import log_improvement
from nas.optimizers.smac.candidates import Candidates, key
from nas.optimizers.smac.climb import climb


def test_the_logarithm_of_improvement_is_exact_where_improvement_itself_is_nothing() -> None:
    u = np.linspace(-6, 8, 281)
    np.testing.assert_allclose(log_improvement(u), np.log(norm.pdf(u) + u * norm.cdf(u)), rtol=1e-6)
    far = -np.logspace(0, 8, 2000)
    found = log_improvement(far)
    assert np.isfinite(found).all()
    assert (np.diff(found) < 0).all()
    # phi(u) / u^2 far below (Mills ratio)
    np.testing.assert_allclose(
        found[far < -100], (norm.logpdf(far) - 2 * np.log(-far))[far < -100], rtol=1e-6
    )


def test_climbing_moves_what_is_free_within_its_bounds() -> None:
    top = np.array([0.3, 0.9, 1.4])

    def score(rows: Any) -> Any:
        return -(((np.array(rows) - top) ** 2) * [1, 100, 3]).sum(1)

    rows = np.array([[0.9, 0.1, 0.2], [0.0, 0.2, 0.5]])
    free = np.array([[True, True, True], [True, False, True]])
    np.testing.assert_allclose(climb(score, rows, free), [[0.3, 0.9, 1], [0.3, 0.2, 1]], atol=1e-4)


def test_what_was_moved_is_a_configuration_again() -> None:
    space = ConfigurationSpace()
    space.add(
        act := Categorical("act", ("a", "b"), default="a"),
        rate := Float("rate", (1e-5, 1.0), log=True),
        Integer("width", (4, 512), default=8),
        Integer("depth", (1, 4), default=2),
    )
    space.add(EqualsCondition(rate, act, "a"))
    candidates, rng = Candidates(space), np.random.RandomState(0)
    rows = candidates.sample(40, rng)
    free = candidates.numbers(rows)
    assert free.sum() == 40 + np.isfinite(rows[:, list(space).index("rate")]).sum()
    moved = np.where(free, 0.1234567, rows)
    settled = candidates.settled(moved, rng)
    for row in settled:
        assert key(candidates.decode(row).get_array()) == key(row)


@pytest.mark.parametrize("seed", range(2))
def test_a_space_of_numbers_is_searched_to_its_best_point(seed: int) -> None:
    """Two thirds of the way from the default are what random search makes in hundreds of trials."""
    bumps = Bumps.drawn(seed)
    optimizer = create("smac", bumps.space, bumps.fidelity, seed)
    errors = []
    for place in range(40):
        asked = optimizer.ask()
        assert asked is not None
        errors.append(bumps.true_error(asked.config))
        optimizer.tell(asked, Outcome(errors[-1], 1.0, float(place), place + 1.0))
    assert min(errors) - bumps.optimum.best < 0.2 * (errors[0] - bumps.optimum.best)
