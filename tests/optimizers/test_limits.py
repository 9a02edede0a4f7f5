"""Limits that can be counted before training: kept by every proposal, for few counts."""

from __future__ import annotations

import statistics
from typing import Any

import pytest

from nas.optimizers import create, names
from nas.optimizers.objectives import Costs
from nas.optimizers.protocol import Earlier, Fidelity
from nas.optimizers.settings import OptimizerSettings
from nas.util.errors import UserError
from search_spaces.base import Config, SearchSpace, config_id

FIDELITY = Fidelity(1, 9, 3)
EAGER = OptimizerSettings(initial_configs=4, min_trials=2)
# Shares of the space that keep them: a half, a hundredth, and 216 configurations of 150,528.
LIMITS = {"half": 246e6, "hundredth": 62e6, "few": 46.5e6}

every = pytest.mark.parametrize("name", names())


@every
@pytest.mark.parametrize("limit", LIMITS.values(), ids=LIMITS)
def test_nothing_beyond_a_limit_is_proposed_and_little_is_counted(
    name: str, limit: float, space: SearchSpace, driver: Any, costs: Any
) -> None:
    counted: list[Config] = []
    aim = costs(macs=limit)

    def known(configs: Any) -> Any:
        counted.extend(configs)
        return aim.known(configs)

    optimizer = create(name, space, FIDELITY, 0, EAGER, costs=Costs((), aim.limits, known))
    begun = len(counted)
    assert begun <= 400
    asked = driver(optimizer).serial(45)
    assert len(asked) == 45
    assert all(aim.known([suggestion.config])[0]["macs"] <= limit for suggestion in asked)
    assert len({config_id(config) for config in counted}) == len(counted), "counted twice"
    assert len(counted) - begun <= 45 * 10


def test_the_search_within_a_limit_learns(space: SearchSpace, driver: Any, costs: Any, truth: Any) -> None:
    limit = LIMITS["hundredth"]
    fitting = [c for c in space.sample(20_000, 3) if costs().known([c])[0]["macs"] <= limit]
    likely = sorted(map(truth, fitting))

    def found(name: str, seed: int) -> float:
        optimizer = create(name, space, FIDELITY, seed, costs=costs(macs=limit))
        return min(truth(s.config) for s in driver(optimizer).serial(60) if s.epochs == FIDELITY.max_epochs)

    chosen = [found("smac", seed) for seed in range(3)]
    assert statistics.fmean(chosen) < likely[len(likely) // 20]


def test_named_points_earlier_results_and_beliefs_keep_the_limits(
    space: SearchSpace, driver: Any, costs: Any
) -> None:
    limit = LIMITS["hundredth"]
    assert costs().known([space.default])[0]["macs"] > limit
    earlier = [Earlier(config, 0.01 * i) for i, config in enumerate(space.sample(40, 5))]
    for known in (earlier, []):
        settings = OptimizerSettings(prior="kernel_mid=9:100,se=true")
        optimizer = create("smac", space, FIDELITY, 0, settings, known, costs=costs(macs=limit))
        asked = driver(optimizer).serial(20)
        assert all(costs().known([s.config])[0]["macs"] <= limit for s in asked)
        assert "default" not in {s.origin for s in asked}


@every
@pytest.mark.parametrize("depth", [1, 3])
def test_a_small_space_is_searched_to_the_last_that_fits(
    name: str, depth: int, grid: Any, driver: Any
) -> None:
    small = grid(a=(1, 2, 3, 4, 5), b=("x", "y"), c=(False, True))
    counts = Costs((), {"size": 6.0}, lambda configs: [{"size": 2.0 * c["a"] + c["c"]} for c in configs])
    fitting = {config_id(c) for c in small.enumerate() if 2 * c["a"] + c["c"] <= 6}

    def error(config: Config, epochs: int) -> float:
        return config["a"] / (5 + epochs)

    run = driver(create(name, small, FIDELITY, 0, EAGER, costs=counts), error)
    assert run.exhaust(depth) == fitting
    assert run.optimizer.promotable() == set()
    resumed = create(name, small, FIDELITY, 0, EAGER, costs=counts)
    run.replay_into(resumed)
    assert resumed.ask() is None


@every
def test_a_limit_that_nothing_keeps_ends_in_none(name: str, space: SearchSpace, costs: Any) -> None:
    optimizer = create(name, space, FIDELITY, 0, costs=costs(macs=1e6))
    assert optimizer.ask() is None
    assert optimizer.ask(speculative=True) is None


@every
def test_what_cannot_work_is_refused(name: str, space: SearchSpace, costs: Any) -> None:
    for objectives, limits, message in [
        (("macs", "macs"), {}, "objectives=macs: is named twice"),
        (("macs", "error"), {}, "objectives=error: is always weighed"),
        (("macs", "params", "latency"), {}, "objectives=error macs params latency: may be 3 at most"),
        ((), {"macs": 0.0}, "max_macs=0.0: must be a number above 0"),
        ((), {"macs": float("nan")}, "max_macs=nan"),
    ]:
        with pytest.raises(UserError, match=message):
            create(name, space, FIDELITY, 0, costs=costs(*objectives, **limits))
