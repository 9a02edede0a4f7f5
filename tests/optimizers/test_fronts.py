"""Fronts: who dominates whom, hypervolume and what is expected to add to it, and searches for a front."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from nas.optimizers import create
from nas.optimizers.protocol import Fidelity
from nas.optimizers.settings import OptimizerSettings
from nas.optimizers.smac.hypervolume import Boxes, hypervolume
from nas.optimizers.smac.pareto import corner, nondominated, preferred, ranks, reference, spread
from search_spaces.base import SearchSpace, config_id

FIDELITY = Fidelity(1, 9, 3)
EAGER = OptimizerSettings(initial_configs=4, min_trials=2)

# Few values, so that points share some.
points = st.integers(1, 3).flatmap(
    lambda m: arrays(np.float64, st.tuples(st.integers(1, 12), st.just(m)), elements=st.integers(0, 5))
)
quick = settings(deadline=None, max_examples=60)


def dominates(a: Any, b: Any) -> bool:
    return bool((a <= b).all() and (a < b).any())


@quick
@given(points)
def test_the_front_is_what_nothing_dominates(found: Any) -> None:
    expected = [not any(dominates(other, point) for other in found) for point in found]
    assert nondominated(found).tolist() == expected
    by_rank = ranks(found)
    assert (by_rank == 0).tolist() == expected
    for i, point in enumerate(found):
        above = [by_rank[j] for j, other in enumerate(found) if dominates(other, point)]
        assert by_rank[i] == max(above, default=-1) + 1


@quick
@given(points)
def test_hypervolume_is_the_share_of_cells_that_are_dominated(found: Any) -> None:
    m = found.shape[1]
    cells = np.stack(np.meshgrid(*[np.arange(6)] * m, indexing="ij"), axis=-1).reshape(-1, m)
    covered = sum(any((point <= cell).all() for point in found) for cell in cells)
    assert hypervolume(found, np.full(m, 6.0)) == covered


def test_a_search_looks_beyond_the_costliest_of_the_front() -> None:
    """Else nothing costlier than the most accurate network so far would be worth anything."""
    found = np.array([[0.5, 1.0], [0.3, 2.0], [0.6, 9.0]])
    no_limit, limit = np.full(2, np.inf), np.array([np.inf, 5.0])
    assert reference(found, no_limit).tolist() == pytest.approx([0.52, 2.1])
    assert corner(found, no_limit).tolist() == pytest.approx([0.52, 9.0])
    assert corner(found, limit).tolist() == pytest.approx([0.52, 5.0])
    means, sure = np.array([[0.2, 4.0]]), np.zeros((1, 2))
    assert Boxes(found, reference(found, no_limit)).expected_improvement(means, sure) == 0
    assert Boxes(found, corner(found, no_limit)).expected_improvement(means, sure) == pytest.approx(0.1 * 5)


def test_of_equal_sums_the_dominated_point_goes() -> None:
    """Rounding may make a point's sum equal to that of one that it dominates."""
    found = np.array([[1.0, 1e-17], [1.0, 0.0]])
    assert nondominated(found).tolist() == [False, True]


@quick
@given(points, st.data())
def test_improvement_of_what_is_known_is_the_difference_of_volumes(found: Any, data: Any) -> None:
    m = found.shape[1]
    beyond = np.full(m, 4.5)
    new = data.draw(arrays(np.float64, (3, m), elements=st.integers(0, 5)))
    gained = Boxes(found, beyond).expected_improvement(new, np.zeros_like(new))
    before = hypervolume(found, beyond)
    for point, gain in zip(new, gained, strict=True):
        assert gain == pytest.approx(hypervolume(np.vstack([found, point]), beyond) - before)


@pytest.mark.parametrize("m", [1, 2, 3])
def test_expected_improvement_is_the_mean_over_draws(m: int) -> None:
    rng = np.random.default_rng(m)
    front, beyond = rng.random((8, m)), np.ones(m)
    means, deviations = 0.6 * rng.random((3, m)), np.full((3, m), 0.15)
    deviations[0, 1:] = 0.0  # the error is uncertain, costs are known
    before = hypervolume(front, beyond)
    for mean, deviation, expected in zip(
        means, deviations, Boxes(front, beyond).expected_improvement(means, deviations), strict=True
    ):
        draws = mean + deviation * rng.normal(size=(3000, m))
        gains = [hypervolume(np.vstack([front, draw]), beyond) - before for draw in draws]
        assert expected == pytest.approx(np.mean(gains), abs=4 * np.std(gains) / np.sqrt(len(gains)))


@quick
@given(points, st.integers(1, 6))
def test_those_preferred_are_distinct_and_of_the_best_rank(found: Any, n: int) -> None:
    chosen = preferred(found, found, found[:0], n)
    assert len(set(chosen)) == len(chosen) == min(n, len(found))
    by_rank = ranks(found)
    assert all(by_rank[a] <= by_rank[b] for a, b in pairwise(chosen))
    assert sorted(by_rank[chosen]) == sorted(by_rank)[: len(chosen)]


@quick
@given(points, st.integers(1, 12), st.integers(1, 6))
def test_those_preferred_have_the_best_ranks_among_all_rivals(found: Any, k: int, n: int) -> None:
    by_rank = ranks(found)[:k]
    chosen = preferred(found[:k], found, found[:0], n)
    assert sorted(by_rank[chosen]) == sorted(by_rank)[: len(chosen)]


@quick
@given(points, st.integers(0, 14))
def test_once_enough_are_ranked_all_others_share_the_next_rank(found: Any, enough: int) -> None:
    by_rank, cut = ranks(found), ranks(found, enough)
    last = next(rank for rank in range(len(found)) if np.sum(by_rank <= rank) >= min(enough, len(found)))
    assert cut.tolist() == np.minimum(by_rank, last + 1).tolist()


def test_of_equals_the_one_far_from_those_chosen_goes_on() -> None:
    line = np.array([[0.0, 4.0], [1.0, 3.0], [2.0, 2.0], [4.0, 0.0]])
    assert preferred(line, line, line[:0], 2) == [0, 3]
    assert preferred(line, line, line[3:], 1) == [0]
    assert preferred(line[1:3], line, line[[0]], 1) == [1]
    assert spread(line, 2).tolist() == [0, 3]
    beyond = reference(line, np.array([np.inf, 4.1]))
    assert beyond == pytest.approx([4.4, 4.1])


def front_of(asked: Any, objectives: tuple[str, ...], truth: Any, costs_of: Any) -> Any:
    configs = {config_id(s.config): s.config for s in asked if s.epochs == FIDELITY.max_epochs}
    return np.array(
        [(truth(c), *(np.log(costs_of(c)[name]) for name in objectives)) for c in configs.values()]
    )


@pytest.mark.parametrize("objectives", [("macs",), ("latency",), ("params", "latency")])
def test_a_search_of_the_front_dominates_more_than_random_search_and_a_search_of_the_error(
    objectives: tuple[str, ...], space: SearchSpace, driver: Any, costs: Any, costs_of: Any, truth: Any
) -> None:
    beyond = np.array([0.7, *[np.log({"macs": 4e8, "params": 3e7, "latency": 5e8}[n]) for n in objectives]])

    def volume(aim: Any, seed: int, name: str = "smac") -> float:
        optimizer = create(name, space, FIDELITY, seed, costs=aim)
        asked = driver(optimizer, costs=costs_of).serial(26 if name == "random" else 78)
        return hypervolume(front_of(asked, objectives, truth, costs_of), beyond)

    seeds = range(2)
    ours = np.mean([volume(costs(*objectives), seed) for seed in seeds])
    assert ours > np.mean([volume(None, seed) for seed in seeds])
    assert ours > np.mean([volume(None, seed, "random") for seed in seeds])


def test_what_is_measured_beyond_a_limit_is_not_promoted_and_avoided(
    space: SearchSpace, driver: Any, costs: Any, costs_of: Any
) -> None:
    limit = 150e6
    run = driver(create("smac", space, FIDELITY, 0, EAGER, costs=costs(latency=limit)), costs=costs_of)
    asked = run.serial(78)
    beyond = [s for s in asked if costs_of(s.config)["latency"] > limit]
    assert beyond, "it can only be found out"
    assert "promotion" not in {s.origin for s in beyond}
    share = np.mean([costs_of(c)["latency"] > limit for c in space.sample(2000, 1)])
    chosen = [s for s in asked if s.origin.startswith("acquisition")]
    assert np.mean([costs_of(s.config)["latency"] > limit for s in chosen]) < share / 2


def test_the_poor_one_that_shows_what_rungs_are_worth_keeps_the_limits_too(
    space: SearchSpace, driver: Any, costs: Any, costs_of: Any
) -> None:
    """Here the costlier is the worse, so that the worst of the first bracket are beyond the limit."""
    limit = 250e6
    optimizer = create("smac", space, FIDELITY, 0, costs=costs(latency=limit))
    run = driver(optimizer, lambda config, _: min(costs_of(config)["latency"] / 2e9, 1.0), costs_of)
    asked = run.serial(14)
    first = sorted(costs_of(s.config)["latency"] for s in asked if s.epochs == 1)
    promoted = {costs_of(s.config)["latency"] for s in asked if s.origin == "promotion"}
    kept = [latency for latency in first if latency <= limit]
    assert 3 < len(kept) < len(first) - 1, "the two worst are beyond the limit"
    assert promoted == {*kept[:2], kept[3:][-2:][0]}


def test_replay_counts_nothing_that_it_need_not(space: SearchSpace, driver: Any, costs: Any) -> None:
    counted: list[Any] = []
    aim = costs(macs=246e6)
    known = aim.known

    def counting(configs: Any) -> Any:
        counted.extend(configs)
        return known(configs)

    aim = type(aim)((), aim.limits, counting)
    run = driver(create("smac", space, FIDELITY, 0, EAGER, costs=aim))
    run.serial(40)
    counted.clear()
    resumed = create("smac", space, FIDELITY, 0, EAGER, costs=aim)
    begun = len(counted)
    run.replay_into(resumed)
    assert len(counted) - begun <= 40
