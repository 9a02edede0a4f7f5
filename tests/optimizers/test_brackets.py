"""Successive halving and Hyperband: SMAC's own rules, step by step and ahead of time."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from smac import Scenario
from smac.intensifier.hyperband import Hyperband
from smac.intensifier.successive_halving import SuccessiveHalving
from smac.main.config_selector import ConfigSelector
from smac.runhistory import TrialValue

from nas.optimizers import create
from nas.optimizers.protocol import Fidelity, Outcome, Suggestion
from nas.optimizers.settings import OptimizerSettings
from nas.optimizers.smac.brackets import StepwiseHalving, StepwiseHyperband
from nas.optimizers.smac.facade import QuietFacade
from search_spaces.base import SearchSpace, config_id

MODEL_FREE = OptimizerSettings(random_probability=1.0, initial_configs=0)


class InOrder(ConfigSelector):
    """Yields given configurations."""

    exhausted = False

    def __init__(self, scenario: Scenario, configs: list[Any]) -> None:
        super().__init__(scenario)
        self._configs = configs

    def __iter__(self) -> Iterator[Any]:
        yield from self._configs


def serial_trials(stepwise: bool, hyperband: bool, space: SearchSpace, fidelity: Fidelity) -> list[Any]:
    configspace = space.configspace(seed=0)
    scenario = Scenario(
        configspace,
        name="test",
        output_directory=Path("/nowhere"),
        deterministic=True,
        n_trials=10**6,
        min_budget=fidelity.min_epochs,
        max_budget=fidelity.max_epochs,
    )
    if stepwise:
        intensifier = (StepwiseHyperband if hyperband else StepwiseHalving)(scenario, fidelity.eta)
    else:
        stock = Hyperband if hyperband else SuccessiveHalving
        intensifier = stock(scenario, eta=fidelity.eta, incumbent_selection="highest_budget")
    selector = InOrder(scenario, configspace.sample_configuration(300))
    facade = QuietFacade(
        scenario, None, intensifier=intensifier, config_selector=selector, logging_level=False
    )
    trials = []
    for _ in range(120):
        trial = facade.ask()
        noise = random.Random(f"{sorted(trial.config.items())}/{trial.budget}")
        facade.tell(trial, TrialValue(cost=round(noise.random(), 2)), save=False)  # with ties
        trials.append((dict(trial.config), trial.budget))
    return trials


@pytest.mark.parametrize("hyperband", [False, True])
@pytest.mark.parametrize(
    "fidelity", [Fidelity(5, 45, 3), Fidelity(2, 16, 2), Fidelity(1, 27, 3), Fidelity(4, 4, 3)]
)
def test_one_at_a_time_the_trials_are_those_of_smac(
    hyperband: bool, fidelity: Fidelity, space: SearchSpace
) -> None:
    ours = serial_trials(True, hyperband, space, fidelity)
    assert ours == serial_trials(False, hyperband, space, fidelity)
    assert {budget for _, budget in ours} == set(fidelity.rungs)


@pytest.mark.parametrize(
    "fidelity", [Fidelity(1, 243, 3), Fidelity(1, 49, 7), Fidelity(1, 1000, 10), Fidelity(3, 3 * 6**3, 6)]
)
@pytest.mark.parametrize("brackets", ["halving", "hyperband"])
def test_rungs_are_exact_where_smac_loses_one(fidelity: Fidelity, brackets: Any, space: SearchSpace) -> None:
    scenario = Scenario(
        space.configspace(),
        name="test",
        output_directory=Path("/nowhere"),
        deterministic=True,
        min_budget=fidelity.min_epochs,
        max_budget=fidelity.max_epochs,
    )
    cls = StepwiseHyperband if brackets == "hyperband" else StepwiseHalving
    intensifier = cls(scenario, fidelity.eta)
    facade = QuietFacade(scenario, None, intensifier=intensifier, logging_level=False)
    facade.intensifier.__post_init__()
    for bracket, budgets in intensifier._budgets_in_stage.items():
        assert budgets == list(fidelity.rungs[bracket:])
        sizes = intensifier._n_configs_in_stage[bracket]
        assert all(upper == lower // fidelity.eta for lower, upper in pairwise(sizes))
        assert sizes[-1] >= 1
    assert intensifier._n_configs_in_stage[0] == [fidelity.eta**k for k in range(len(fidelity.rungs))][::-1]


def answer(optimizer: Any, suggestion: Suggestion, error: float | None) -> None:
    optimizer.tell(suggestion, Outcome(error, 1.0))


def test_the_best_three_of_nine_are_promoted_and_only_they_are_kept(space: SearchSpace) -> None:
    optimizer = create("smac", space, Fidelity(5, 45, 3), 0, MODEL_FREE)
    nine = [optimizer.ask() for _ in range(9)]
    errors = [0.5, 0.9, None, 0.2, 0.8, 1.0, None, 0.3, 0.7]
    for suggestion, error in zip(nine, errors, strict=True):
        assert config_id(suggestion.config) in optimizer.promotable()
        answer(optimizer, suggestion, error)
    best = [nine[3], nine[7], nine[0]]
    three = [optimizer.ask() for _ in range(3)]
    assert [(s.config, s.epochs, s.origin) for s in three] == [(s.config, 15, "promotion") for s in best]
    assert optimizer.promotable() == {config_id(s.config) for s in best}
    for suggestion, error in zip(three, [0.4, None, 0.3], strict=True):
        answer(optimizer, suggestion, error)
    last = optimizer.ask()
    assert (last.config, last.epochs) == (nine[0].config, 45)
    assert optimizer.promotable() == set()


def test_a_crash_loses_to_the_worst_success_and_never_goes_up(space: SearchSpace) -> None:
    optimizer = create("smac", space, Fidelity(1, 3, 3), 0, MODEL_FREE)
    three = [optimizer.ask() for _ in range(3)]
    for suggestion, error in zip(three, [None, None, 1.0], strict=True):
        answer(optimizer, suggestion, error)
    assert optimizer.ask().config == three[2].config
    three = [optimizer.ask() for _ in range(3)]
    assert {suggestion.epochs for suggestion in three} == {1}
    for suggestion in three:
        answer(optimizer, suggestion, None)
    assert optimizer.ask().epochs == 1, "a bracket of crashes blocks the next"


def test_ahead_of_time_no_bracket_opens_while_a_promotion_is_undecided(space: SearchSpace) -> None:
    optimizer = create("smac", space, Fidelity(1, 9, 3), 0, MODEL_FREE)
    pending = None
    rungs = []
    for _ in range(13):
        suggestion = optimizer.ask(speculative=True)
        if pending is not None:
            answer(optimizer, pending, 0.5)
        pending = suggestion or optimizer.ask()
        rungs.append((pending.epochs, suggestion is not None))
    waited = [index for index, (_, ahead) in enumerate(rungs) if not ahead]
    assert [epochs for epochs, _ in rungs] == [1] * 9 + [3] * 3 + [9]
    assert waited == [9, 12], "the first of a rung is asked when the rung below has ended"
    # The longest trial runs: the next bracket begins meanwhile.
    ahead = optimizer.ask(speculative=True)
    assert (ahead.epochs, ahead.origin) == (1, "random")


def test_with_idle_workers_the_next_bracket_opens_but_promotions_go_first(space: SearchSpace) -> None:
    optimizer = create("smac", space, Fidelity(1, 3, 3), 0, MODEL_FREE)
    three = [optimizer.ask() for _ in range(3)]
    assert optimizer.ask(speculative=True) is None
    other = optimizer.ask()
    assert other.epochs == 1
    for suggestion, error in zip(three, [0.5, 0.4, 0.6], strict=True):
        answer(optimizer, suggestion, error)
    assert optimizer.ask(speculative=True) == Suggestion(three[1].config, 3, "promotion")
    assert optimizer.ask(speculative=True).epochs == 1, "the second bracket is not yet full"


def test_the_highest_rung_is_asked_first(space: SearchSpace) -> None:
    optimizer = create("smac", space, Fidelity(1, 4, 2), 0, MODEL_FREE)
    four, other = ([optimizer.ask() for _ in range(4)] for _ in range(2))
    for suggestion in four:
        answer(optimizer, suggestion, 0.5)
    two = [optimizer.ask() for _ in range(2)]
    for suggestion in [*other, *two]:
        answer(optimizer, suggestion, 0.5)
    assert [optimizer.ask().epochs for _ in range(4)] == [4, 2, 2, 1]


def test_hyperband_starts_some_configurations_higher(space: SearchSpace, driver: Any) -> None:
    run = driver(create("hyperband", space, Fidelity(1, 9, 3), 0))
    starts = [s.epochs for s in run.serial(22) if s.origin != "promotion"]
    assert starts == [1] * 9 + [3] * 5 + [9] * 3


def test_looking_changes_nothing(space: SearchSpace, tmp_path: Path) -> None:
    def promotions(look: bool) -> list[Suggestion]:
        optimizer = create("smac", space, Fidelity(1, 3, 3), 0, MODEL_FREE)
        six = [optimizer.ask() for _ in range(6)]
        for index in (3, 4, 5, 0, 1, 2):  # the second bracket is decided before the first
            answer(optimizer, six[index], 0.1 * index)
            if look:
                optimizer.save(tmp_path)
                optimizer.promotable()
        return [optimizer.ask() for _ in range(2)]

    assert promotions(look=True) == promotions(look=False)
