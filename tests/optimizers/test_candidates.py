"""Configurations as rows: there and back, their neighbours, and those that were not seen."""

from __future__ import annotations

from typing import Any

import numpy as np
from ConfigSpace import ConfigurationSpace

from nas.optimizers.smac.candidates import Candidates, distinct, key
from search_spaces.base import SearchSpace, plain


def test_candidates_of_every_type_come_back_from_json_unchanged(mixed: ConfigurationSpace) -> None:
    candidates, rng = Candidates(mixed), np.random.RandomState(0)
    assert candidates.size == np.inf
    for row in candidates.sample(50, rng):
        config = candidates.decode(row)
        values = plain(config)
        assert candidates.values(row) == values
        assert all(type(value) in (int, float, str, bool) for value in values.values())
        again = candidates.encode(values)
        assert again == config
        assert hash(again) == hash(config)
        assert key(again.get_array()) == key(config.get_array())
        np.testing.assert_allclose(config.get_array(), row, atol=1e-5)


def test_neighbours_differ_in_one_hyperparameter(mixed: ConfigurationSpace) -> None:
    candidates, rng = Candidates(mixed), np.random.RandomState(0)
    row = candidates.sample(1, rng)[0]
    neighbours = candidates.neighbours(row, rng)
    changed = [set(np.flatnonzero(near != row)) for near in neighbours]
    assert all(len(places) == 1 for places in changed)
    varied = {list(mixed)[next(iter(places))] for places in changed}
    assert varied == set(mixed) - {"classes"}
    for near in neighbours:
        candidates.decode(near)
    of_kernel = {
        plain(candidates.decode(n))["kernel"]
        for n, p in zip(neighbours, changed, strict=True)
        if p == {list(mixed).index("kernel")}
    }
    assert of_kernel == {3, 5, 7, 9} - {plain(candidates.decode(row))["kernel"]}


def test_all_one_exchange_neighbours_of_a_network(space: SearchSpace) -> None:
    candidates = Candidates(space.configspace())
    row = candidates.encode(space.default).get_array()
    assert len(candidates.neighbours(row, np.random.RandomState(0))) == sum(
        len(hp.choices) - 1 for hp in space.hyperparameters.values()
    )
    assert candidates.size == space.size


def test_unseen_finds_the_last_ones(grid: Any) -> None:
    candidates = Candidates(grid(a=tuple(range(20)), b=tuple(range(30)), c=("x", "y")).configspace())
    rng = np.random.RandomState(0)
    every = distinct(candidates.unseen(1200, set(), rng), set())
    while len(every) < 1200:
        every = distinct([*every, *candidates.unseen(1200, {key(row) for row in every}, rng)], set())
    seen = {key(row) for row in every[:-2]}
    assert {key(row) for row in candidates.unseen(5, seen, rng)} == {key(row) for row in every[-2:]}
    assert candidates.unseen(5, {key(row) for row in every}, rng).shape == (0, 3)
