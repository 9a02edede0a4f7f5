"""Which configuration comes next, and whether candidates, model and acquisition help."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ConfigSpace import ConfigurationSpace

from nas.optimizers import create
from nas.optimizers.protocol import Fidelity, Outcome
from nas.optimizers.settings import OptimizerSettings
from nas.optimizers.smac.evidence import TrainingData
from nas.optimizers.smac.gaussian_process import GaussianProcess
from search_spaces.base import Config, SearchSpace, config_id, plain


def test_a_region_that_crashes_at_the_lowest_rung_is_left_alone(
    space: SearchSpace, driver: Any, measured: Callable[[Config, int], float]
) -> None:
    def crashes(config: Config) -> bool:  # one configuration in five, and by their errors the best
        return config["activation"] in ("elu", "celu") and config["norm_positions"] in ("1", "2", "3")

    def objective(config: Config, epochs: int) -> float | None:
        return None if crashes(config) else measured(config, epochs)

    run = driver(create("smac", space, Fidelity(1, 9, 3), 1), objective)
    chosen = [s.config for s in run.serial(200) if s.origin.startswith("acquisition")]
    assert len(chosen) > 100
    # Forests that learn from the crashes of their own rung only, or from none, choose more than 30.
    assert sum(map(crashes, chosen)) <= 5


@pytest.mark.parametrize("error", [0.0, 0.5, 1.0])
def test_a_flat_objective_does_no_harm(space: SearchSpace, driver: Any, error: float) -> None:
    run = driver(create("smac", space, Fidelity(1, 3, 3), 0), lambda *_: error)
    asked = run.serial(40)
    assert len({(config_id(s.config), s.epochs) for s in asked}) == 40
    assert any(suggestion.origin.startswith("acquisition") for suggestion in asked)


@pytest.mark.parametrize(("fidelity", "first"), [(Fidelity(1, 9, 3), 9), (Fidelity(9, 9, 3), 5)])
def test_it_begins_with_the_default_and_named_points(
    space: SearchSpace, driver: Any, fidelity: Fidelity, first: int
) -> None:
    asked = [s for s in driver(create("smac", space, fidelity, 0)).serial(50) if s.origin != "promotion"]
    initial = ["default", "named point", *["initial design"] * (first - 2)]
    assert [s.origin for s in asked[:first]] == initial
    assert [s.config for s in asked[:2]] == [space.default, space.points["nexception"]]
    later = {suggestion.origin for suggestion in asked[first:]}
    assert later <= {"random", "acquisition: random", "acquisition: neighbour"}
    few = driver(create("smac", space, Fidelity(9, 9, 3), 0, OptimizerSettings(initial_configs=1))).serial(3)
    assert [s.origin for s in few] == ["default", "random", "random"]


def test_without_an_initial_design_it_begins_at_random(space: SearchSpace, driver: Any) -> None:
    settings = OptimizerSettings(initial_configs=0, random_probability=0.0, min_trials=3)
    asked = driver(create("smac", space, Fidelity(9, 9, 3), 0, settings)).serial(5)
    origins = [suggestion.origin for suggestion in asked]
    assert origins[:3] == ["random"] * 3
    assert all(origin.startswith("acquisition") for origin in origins[3:])


def test_the_model_learns_once_for_trials_asked_at_a_time(
    space: SearchSpace, driver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    learnt = []
    learn = GaussianProcess.learn

    def counted(self: GaussianProcess, data: TrainingData, seed: int = 0) -> None:
        learnt.append(len(data.errors))
        learn(self, data, seed)

    monkeypatch.setattr(GaussianProcess, "learn", counted)
    settings = OptimizerSettings(initial_configs=4, random_probability=0.0, min_trials=4)
    run = driver(create("smac", space, Fidelity(9, 9, 3), 0, settings))
    run.serial(4)
    for _ in range(3):
        run.ask()
    assert learnt == [4]
    run.tell()
    run.ask()
    assert learnt == [4, 5]


def test_spaces_beyond_choices_can_be_searched(mixed: ConfigurationSpace, driver: Any) -> None:
    class Mixed:
        name = "mixed"
        size = np.inf
        points: dict[str, Config] = {}  # noqa: RUF012
        default = plain(mixed.get_default_configuration())

        def configspace(self) -> ConfigurationSpace:
            return mixed

    def objective(config: Config, epochs: int) -> float:
        return abs(np.log10(config["rate"]) + 2) / 4 + 0.3 * (config["act"] != "elu") + 0.1 / epochs

    space: Any = Mixed()
    run = driver(create("smac", space, Fidelity(1, 3, 3), 0), objective)
    asked = run.serial(60)
    resumed = create("smac", space, Fidelity(1, 3, 3), 0)
    run.replay_into(resumed)
    assert resumed.ask() == run.optimizer.ask()
    early, late = asked[:16], asked[-16:]
    assert (
        np.mean([objective(s.config, 1) for s in late]) < np.mean([objective(s.config, 1) for s in early]) / 2
    )


def best_seen(run: Any, truth: Callable[[Config], float], epochs: int) -> float:
    """True error of the best configuration by measurement at the highest rung, after so many epochs."""
    spent, best = 0, (np.inf, np.inf)
    reached: dict[str, int] = {}
    while spent < epochs:
        suggestion = run.ask()
        name = config_id(suggestion.config)
        spent += suggestion.epochs - reached.get(name, 0)  # a promoted one goes on from its checkpoint
        reached[name] = suggestion.epochs
        error = run.tell().error
        if suggestion.epochs == 45:
            best = min(best, (error, truth(suggestion.config)))
    return best[1]


def test_it_finds_better_networks_than_random_search_for_the_same_epochs(
    space: SearchSpace, driver: Any, truth: Callable[[Config], float]
) -> None:
    fidelity, epochs, seeds = Fidelity(5, 45, 3), 35 * 45, range(3)
    found = {
        name: [best_seen(driver(create(name, space, fidelity, seed)), truth, epochs) for seed in seeds]
        for name in ("smac", "hyperband", "random")
    }
    optimum = 0.3 + 0.04
    regret = {name: np.array(values) - optimum for name, values in found.items()}
    assert np.all(regret["smac"] < regret["random"])
    assert regret["smac"].mean() < 0.5 * regret["random"].mean()
    assert regret["smac"].mean() < regret["hyperband"].mean()


def test_the_trajectory_counts_seconds_from_the_first_trials_begin(
    space: SearchSpace, tmp_path: Path
) -> None:
    optimizer = create("smac", space, Fidelity(1, 1, 3), 0)
    for begin, end, error in ((1000.0, 1010.0, 0.5), (1010.0, 1030.0, 0.4)):
        suggestion = optimizer.ask()
        assert suggestion is not None
        optimizer.tell(suggestion, Outcome(error, end - begin, begin, end))
    optimizer.save(tmp_path)
    trajectory = json.loads((tmp_path / "intensifier.json").read_text())["trajectory"]
    assert [(item["costs"], item["walltime"]) for item in trajectory] == [([0.5], 10.0), ([0.4], 30.0)]
    assert json.loads((tmp_path / "optimization.json").read_text())["used_walltime"] == 30.0
