"""Numbers, conditions and forbidden clauses: what is proposed is a configuration, and the search ends."""

from __future__ import annotations

import math
import statistics
import time
from typing import Any

import numpy as np
import pytest
from ConfigSpace import (
    Categorical,
    ConfigurationSpace,
    Constant,
    EqualsCondition,
    ForbiddenAndConjunction,
    ForbiddenEqualsClause,
    InCondition,
)
from ConfigSpace import Float as CSFloat
from ConfigSpace import Integer as CSInteger

from benchmarks.wide_space import Finite, Wide
from nas.optimizers import create
from nas.optimizers.protocol import Fidelity, Outcome
from nas.optimizers.settings import OptimizerSettings
from nas.optimizers.smac.candidates import Candidates, key
from nas.optimizers.smac.kernel import codes
from search_spaces.base import Config, SearchSpace, config_id

RUNGS = Fidelity(1, 9, 3)


class _Unbuilt(SearchSpace):
    def __init__(self, given: ConfigurationSpace) -> None:
        from search_spaces.configspaces import read

        self.space = given  # type: ignore[misc]
        self.hyperparameters = read(given)  # type: ignore[misc]

    def build(self, config: Any) -> Any:
        raise NotImplementedError


def mixed() -> SearchSpace:
    space = ConfigurationSpace()
    space.add(
        stem := Categorical("stem", ("conv", "patch", "none"), default="conv"),
        patch := CSInteger("patch", (1, 4), default=2),
        kernel := Categorical("kernel", (1, 3, 5), default=3, ordered=True),
        norm := Categorical("norm", ("batch", "layer"), default="batch"),
        eps := CSFloat("eps", (1e-6, 1e-1), default=1e-3, log=True),
        CSInteger("width", (4, 512), default=8, log=True),
        CSFloat("dropout", (0.0, 0.5), default=0.1),
        Constant("bias", "yes"),
    )
    space.add(InCondition(norm, stem, ["conv", "patch"]), EqualsCondition(eps, norm, "layer"))
    space.add(EqualsCondition(patch, stem, "patch"))
    space.add(ForbiddenAndConjunction(ForbiddenEqualsClause(kernel, 5), ForbiddenEqualsClause(stem, "none")))
    return _Unbuilt(space)


def finite() -> SearchSpace:
    """3 (patch) + 1 (conv) stems, by 3 kernels but for one forbidden pair, by 2: 22 configurations."""
    space = ConfigurationSpace()
    space.add(
        stem := Categorical("stem", ("conv", "patch"), default="conv"),
        patch := CSInteger("patch", (2, 4), default=2),
        kernel := Categorical("kernel", (1, 3, 5), default=3, ordered=True),
        Categorical("se", (False, True)),
    )
    space.add(EqualsCondition(patch, stem, "patch"))
    space.add(ForbiddenAndConjunction(ForbiddenEqualsClause(kernel, 5), ForbiddenEqualsClause(patch, 4)))
    return _Unbuilt(space)


def error(config: Config, epochs: int) -> float:
    found = 0.2 + 0.1 * (config["stem"] != "patch") + 0.02 * abs(int(config.get("patch", 4)) - 3)
    found += 0.1 * abs(math.log(float(config.get("width", 64)) / 64)) / 4
    found += 0.05 * abs(math.log10(float(config.get("eps", 1e-1))) + 4) / 4
    return min(found + 0.3 * abs(float(config.get("dropout", 0.2)) - 0.2) + 0.2 / epochs, 1.0)


def run(optimizer: Any, space: SearchSpace, trials: int) -> list[Any]:
    """Asks and tells; every answer must be a configuration of the space."""
    asked = []
    while len(asked) < trials and (one := optimizer.ask()) is not None:
        assert space.validate(one.config) == one.config
        asked.append(one)
        place = float(len(asked))
        optimizer.tell(one, Outcome(error(one.config, one.epochs), 1.0, place, place + 1.0))
    return asked


@pytest.mark.parametrize("model", ["process", "forest"])
def test_a_mixed_space_is_searched_and_replayed(model: Any, few_trees: None) -> None:
    space = mixed()
    settings = OptimizerSettings(model=model)
    optimizer = create("smac", space, RUNGS, 3, settings)
    asked = run(optimizer, space, 60)
    new = [one.config for one in asked if one.origin != "promotion"]
    assert len({config_id(config) for config in new}) == len(new), "nothing is proposed twice"
    assert {one.origin for one in asked} >= {"default", "initial design", "promotion"}
    assert any(one.origin.startswith("acquisition") for one in asked)
    again = create("smac", space, RUNGS, 3, settings)
    for place, one in enumerate(asked, start=1):
        again.replay(one)
        again.tell(one, Outcome(error(one.config, one.epochs), 1.0, float(place), place + 1.0))
    assert again.ask() == optimizer.ask()


def test_the_model_finds_what_matters_among_numbers_and_conditions() -> None:
    """Better than at random: the wide range of a logarithmic width, and a condition's own choice."""
    space = mixed()

    def best(optimizer: str) -> float:
        asked = run(create(optimizer, space, Fidelity(9, 9, 3), 1), space, 60)
        return min(error(one.config, 9) for one in asked)

    assert best("smac") < best("random") - 0.01


@pytest.mark.parametrize("optimizer", ["smac", "random", "hyperband"])
def test_a_small_space_ends_when_all_of_it_was_tried(optimizer: str) -> None:
    space = finite()
    assert space.size == Candidates(space.configspace()).size == 22
    asked = run(create(optimizer, space, RUNGS, 0), space, 500)
    assert len({config_id(one.config) for one in asked}) == 22
    assert len(asked) < 500


def test_neighbours_differ_in_one_choice_and_in_what_hangs_on_it() -> None:
    space = mixed()
    candidates = Candidates(space.configspace())
    rng = np.random.RandomState(0)
    for row in candidates.sample(40, rng):
        near = candidates.neighbours(row, rng)
        assert len(near)
        assert key(row) not in {key(other) for other in near}
        here = space.validate(candidates.decode(row))
        for other in near:
            there = space.validate(candidates.decode(other))
            changed = {name for name, _, _ in space.changes(there, here)}
            chain = {"stem", "norm", "eps", "patch"}  # each hangs on one before it
            assert len(changed) == 1 or changed <= chain
            # A row that was written down and read again is the same row.
            assert key(candidates.encode(there).get_array()) == key(other)


def test_how_far_values_are_from_each_other() -> None:
    """Categories all alike, scales by their order, inactive as a value of its own."""

    def distances(hp: Any, column: list[float], conditional: bool = True) -> Any:
        found = codes(hp, np.array(column), conditional)
        return ((found[:, None] - found[None]) ** 2).sum(-1)

    off = math.nan
    apart = distances(Categorical("c", ("a", "b", "c")), [0, 1, 2, off])
    assert np.allclose(apart, 1 - np.eye(4))
    scale = distances(Categorical("o", (1, 2, 3), ordered=True), [0, 1, 2, off])
    assert np.allclose(scale, [[0, 0.5, 1, 1], [0.5, 0, 0.5, 1], [1, 0.5, 0, 1], [1, 1, 1, 0]])
    few = CSInteger("i", (1, 4), log=True)
    at = [float(few.to_vector(value)) for value in (1, 2, 4)]
    assert np.allclose(distances(few, at, conditional=False), [[0, 0.5, 1], [0.5, 0, 0.5], [1, 0.5, 0]])
    assert np.allclose(distances(few, [at[0], off]), 1 - np.eye(2))
    longer = distances(Categorical("o", (1, 2, 3, 4, 5), ordered=True), [0, 1, 4, off])
    assert np.allclose(longer[:3, :3], [[0, 1 / 16, 1], [1 / 16, 0, 9 / 16], [1, 9 / 16, 0]])
    assert np.allclose(longer[3], [1, 0.8125, 1, 0])
    number = distances(CSFloat("f", (1e-4, 1.0), log=True), [0.0, 0.25, 1.0, off])
    assert np.allclose(number[:3, :3], [[0, 1 / 16, 1], [1 / 16, 0, 9 / 16], [1, 9 / 16, 0]])
    assert np.allclose(number[3], [1, 0.8125, 1, 0])
    assert np.allclose(distances(Constant("k", "x"), [1.0, off]), 1 - np.eye(2))


def test_beliefs_go_with_conditions() -> None:
    space = mixed()
    settings = OptimizerSettings(prior="stem=patch:50,norm=layer,patch=3..4:50")
    asked = run(create("smac", space, RUNGS, 0, settings), space, 40)
    believed = [one.config for one in asked if one.origin == "prior"]
    patched = [config["patch"] for config in believed if config["stem"] == "patch"]
    assert len(patched) > len(believed) / 2
    assert sum(int(patch) >= 3 for patch in patched) > len(patched) / 2


@pytest.mark.parametrize("space", [Wide(), Finite()])
def test_a_large_space_keeps_its_ask_time(space: SearchSpace) -> None:
    assert len(space.hyperparameters) == 30
    finite = ((2 * 40 + 2) * 3) ** 8 * 5**6
    assert space.size == (math.inf if isinstance(space, Wide) else finite)
    optimizer = create("smac", space, Fidelity(9, 9, 3), 0)
    rng = np.random.RandomState(0)
    seconds = []
    for place in range(60):
        begin = time.perf_counter()
        asked = optimizer.ask()
        seconds.append(time.perf_counter() - begin)
        assert asked is not None
        place_ = float(place)
        optimizer.tell(asked, Outcome(float(rng.uniform(0.2, 0.8)), 1.0, place_, place_ + 1))
    assert statistics.median(seconds[20:]) < 1.5


def test_categories_and_ordinals_of_many_values_have_them_all_for_neighbours() -> None:
    space = ConfigurationSpace()
    space.add(
        Categorical("many", tuple(f"v{i}" for i in range(40)), default="v0"),
        Categorical("steps", tuple(range(30)), default=0, ordered=True),
    )
    candidates, rng = Candidates(space), np.random.RandomState(0)
    rows = candidates.sample(3, rng)
    near = candidates.neighbours(rows, rng)
    assert len(near) == 3 * (39 + 29)
    assert all(key(candidates.decode(row).get_array()) == key(row) for row in near)
