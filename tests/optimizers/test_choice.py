"""Which configuration comes next: candidates, forest, acquisition, and whether it all helps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ConfigSpace import (
    Categorical,
    ConfigurationSpace,
    Constant,
    Float,
    Integer,
    OrdinalHyperparameter,
)
from smac import Scenario
from smac.model.random_forest.random_forest import RandomForest

from nas.optimizers import create
from nas.optimizers.protocol import Fidelity, Outcome
from nas.optimizers.settings import OptimizerSettings
from nas.optimizers.smac.candidates import Candidates, distinct, key
from nas.optimizers.smac.evidence import Evidence, TrainingData
from nas.optimizers.smac.forest import Forest
from nas.optimizers.smac.gaussian_process import ChoiceProcess
from nas.optimizers.smac.maximizer import PoolSearch
from search_spaces.base import Config, SearchSpace, config_id, plain


@pytest.fixture(scope="module")
def mixed() -> ConfigurationSpace:
    space = ConfigurationSpace(name="mixed")
    space.add(Integer("layers", (1, 7)), Integer("width", (1, 100_000), log=True), Integer("many", (1, 40)))
    space.add(Float("rate", (1e-4, 1.0), log=True), Categorical("act", ["relu", "gelu", "elu"]))
    space.add(
        OrdinalHyperparameter("kernel", [3, 5, 7, 9]),
        Constant("classes", 10),
        Categorical("se", [True, False]),
    )
    return space


def scenario_of(space: ConfigurationSpace) -> Scenario:
    return Scenario(space, name="test", output_directory=Path("/nowhere"), deterministic=True, seed=0)


def test_candidates_of_every_type_come_back_from_json_unchanged(mixed: ConfigurationSpace) -> None:
    candidates, rng = Candidates(mixed), np.random.RandomState(0)
    assert candidates.size == np.inf
    for row in candidates.sample(50, rng):
        config = candidates.decode(row)
        values = plain(config)
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


def test_the_forest_predicts_what_smacs_does(space: SearchSpace) -> None:
    configspace = space.configspace()
    rng = np.random.RandomState(0)
    X = Candidates(configspace).sample(150, rng)
    y = np.log(0.1 + 0.1 * X[:, :1] + 0.05 * X[:, 1:2] + 0.1 * rng.rand(150, 1))
    data = TrainingData.of(X, y.ravel())
    ours = Forest(scenario_of(configspace))
    ours.learn(data, seed=7)
    options = {
        key: value for key, value in ours._rf_opts.items() if key in ("max_leaf_nodes", "n_jobs", "log_y")
    }
    theirs = RandomForest(
        configspace,
        seed=7,
        n_trees=40,
        ratio_features=0.7,
        min_samples_split=2,
        min_samples_leaf=1,
        **options,
    )
    probes = Candidates(configspace).sample(200, rng)
    for ours_, theirs_ in zip(
        ours.predict_marginalized(probes),
        theirs.train(X, y).predict_marginalized(probes),
        strict=True,
    ):
        np.testing.assert_allclose(ours_, theirs_, rtol=1e-9, atol=1e-12)
    before = ours.predict_marginalized(probes)[0]
    ours.learn(data, seed=8)
    assert not np.allclose(ours.predict_marginalized(probes)[0], before)


def process_data(configspace: ConfigurationSpace, n: int = 80) -> tuple[TrainingData, np.ndarray]:
    """Errors of which the second hyperparameter alone decides, a little noise, and probes."""
    rng = np.random.RandomState(0)
    X = Candidates(configspace).sample(n, rng)
    y = 0.4 + 0.1 * X[:, 1] + 0.01 * rng.randn(n)
    return TrainingData.of(X, y), Candidates(configspace).sample(50, rng)


def test_the_process_predicts_what_scikit_learns_does(mixed: ConfigurationSpace) -> None:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel

    data, probes = process_data(mixed)
    ours = ChoiceProcess(mixed)
    ours.tune(data)
    ours.learn(data)
    noise = ours._factor[0]
    K = ours._signal * np.exp(-((ours._points[:, None] - ours._points[None]) ** 2).sum(-1))
    lower = np.tril(noise)
    alpha = np.diag(lower @ lower.T - K)
    order = np.argsort(data.errors, kind="stable")
    theirs = GaussianProcessRegressor(
        ConstantKernel(ours._signal) * RBF(1 / np.sqrt(2)), alpha=alpha, optimizer=None
    ).fit(ours._points, (data.errors[order] - ours._mean) / ours._scale)
    mean, spread = theirs.predict(ours._scaled(ours._coded(probes)), return_std=True)
    found = ours.predict_marginalized(probes)
    np.testing.assert_allclose(ours.means(probes), found[0].ravel(), rtol=1e-12)
    rows, errors = ours.leaders(3)
    np.testing.assert_allclose(errors, np.sort(ours.means(data.rows))[:3], rtol=1e-9)
    np.testing.assert_allclose(errors, ours.means(rows), rtol=1e-9)  # fewer rows may be summed otherwise
    np.testing.assert_allclose(found[0].ravel(), ours._mean + ours._scale * mean, rtol=1e-6)
    np.testing.assert_allclose(found[1].ravel(), (ours._scale * spread) ** 2, rtol=1e-4, atol=1e-9)


def test_distances_are_those_of_the_values(space: SearchSpace) -> None:
    configspace = space.configspace()
    process = ChoiceProcess(configspace)
    rows = Candidates(configspace).sample(30, np.random.RandomState(1))
    names = list(configspace)
    for name, codes in zip(names, process._coded(rows), strict=True):
        column = rows[:, names.index(name)]
        apart = np.abs(column[:, None] - column)
        ordinal = space.hyperparameters[name].ordinal
        expected = apart / (len(space.hyperparameters[name].choices) - 1) if ordinal else apart > 0
        np.testing.assert_allclose(((codes[:, None] - codes[None]) ** 2).sum(-1), expected, atol=1e-12)


def test_the_process_finds_out_what_matters(space: SearchSpace) -> None:
    configspace = space.configspace()
    data, probes = process_data(configspace)
    process = ChoiceProcess(configspace)
    process.tune(data)
    process.learn(data)
    decay = process._roots**2
    assert decay[1] > 3 * np.delete(decay, 1).max()
    mean, variance = process.predict_marginalized(probes)
    np.testing.assert_allclose(mean.ravel(), 0.4 + 0.1 * probes[:, 1], atol=0.02)
    assert (np.sqrt(variance) < 0.05).all()


def test_the_slope_of_the_likelihood_is_exact() -> None:
    from scipy.optimize import approx_fprime

    from nas.optimizers.smac.gaussian_process import _likelihood

    rng = np.random.RandomState(2)
    distances = rng.rand(3, 12, 12)
    distances += distances.transpose(0, 2, 1) + np.where(np.eye(12), 0, 2)
    distances[:, range(12), range(12)] = 0
    levels = np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 0])
    seeds = np.array([2, 0, 1] * 4)
    data = TrainingData(
        rng.rand(12, 3), rng.randn(12), np.arange(12), levels, rng.uniform(0.2, 1, 12), seeds, seeds * 0.1
    )
    loss = _likelihood(distances, data)[0]
    at = rng.randn(7) * 0.3
    np.testing.assert_allclose(
        loss(at)[1], approx_fprime(at, lambda p: loss(p)[0], 1e-6), rtol=1e-3, atol=1e-4
    )


def test_many_trials_do_not_make_a_model_that_takes_minutes(space: SearchSpace) -> None:
    configspace = space.configspace()
    data, probes = process_data(configspace, 3000)
    process = ChoiceProcess(configspace)
    process.tune(data)
    process.learn(data)
    assert len(process._points) == 400
    assert np.corrcoef(process.predict_marginalized(probes)[0].ravel(), probes[:, 1])[0, 1] > 0.9


class Closeness:
    """An acquisition function with a single peak, and a model to go with it."""

    def __init__(self, target: np.ndarray) -> None:
        self._target = target
        self.model = self
        self.seen = np.zeros((1, len(target)))

    def _compute(self, X: np.ndarray) -> np.ndarray:
        return -np.sum(self._target != X, axis=1, keepdims=True).astype(float)

    def leaders(self, n: int) -> tuple[np.ndarray, np.ndarray]:
        return self.seen[:n], -self._compute(self.seen[:n]).ravel()


@pytest.mark.parametrize("seed", range(5))
def test_the_search_climbs_to_the_peak_and_past_what_was_seen(space: SearchSpace, seed: int) -> None:
    configspace = space.configspace()
    candidates = Candidates(configspace)
    target = candidates.sample(1, np.random.RandomState(100 + seed))[0]
    search = PoolSearch(scenario_of(configspace), candidates)
    search.acquisition_function = Closeness(target)
    search.reseed(seed)
    seen = [candidates.encode(space.default)]
    ((score, best),) = search._maximize(seen, 1)
    assert score == 0
    np.testing.assert_array_equal(best.get_array(), target)
    assert best.origin == "acquisition: neighbour"
    ((score, second),) = search._maximize([*seen, best], 1)
    assert score == -1
    assert second != best


def evidence_of(space: SearchSpace, curves: list[dict[int, float | None]]) -> tuple[Evidence, np.ndarray]:
    """Finished trials of configurations with errors by rung, None for a crash; and their rows."""
    rows = Candidates(space.configspace()).unseen(len(curves), set(), np.random.RandomState(0))
    evidence = Evidence((1, 3, 9))
    for row, curve in zip(rows, curves, strict=True):
        for epochs, error in curve.items():
            evidence.add(row, epochs, error)
    return evidence, rows


def test_errors_at_the_highest_rung_are_expected_from_lower_ones(space: SearchSpace) -> None:
    rng = np.random.RandomState(3)
    low = rng.uniform(0.5, 0.9, 60)
    low.sort()
    curves: list[dict[int, float | None]] = [{1: error} for error in low]
    for curve, error in zip(curves[:30], low[:30], strict=True):  # the best half is promoted
        curve[3] = 0.1 + 0.6 * error + 0.002 * rng.randn()
    evidence, rows = evidence_of(space, curves)
    data = evidence.training_data()
    assert len(data.errors) == 90
    np.testing.assert_array_equal(data.rows, rows[data.configs])
    np.testing.assert_array_equal(np.bincount(data.configs), [2] * 30 + [1] * 30)
    np.testing.assert_array_equal(data.errors[data.levels == 1], [curve[3] for curve in curves[:30]])
    np.testing.assert_allclose(data.errors[data.levels == 0], 0.1 + 0.6 * low, atol=0.06)
    assert (np.diff(data.errors[data.levels == 0]) > 0).all()
    assert set(data.gains[data.levels == 1]) == {1.0}
    assert data.gains[data.levels == 0] == pytest.approx(0.6**2, abs=0.1)
    np.testing.assert_array_equal(data.last, (data.levels == 1) | (data.configs >= 30))


def test_without_promotions_errors_stay_as_they_are(space: SearchSpace) -> None:
    data = evidence_of(space, [{3: 0.5}, {3: 0.7}, {3: 0.6}])[0].training_data()
    np.testing.assert_array_equal(data.errors, [0.5, 0.7, 0.6])
    np.testing.assert_array_equal(data.levels, 0)


def test_a_crash_teaches_the_worst_error_whatever_rung_it_was_at(space: SearchSpace) -> None:
    curves: list[dict[int, float | None]] = [{1: 0.6, 3: 0.4}, {1: 0.9}, {1: None}, {1: 0.5, 3: None}]
    data = evidence_of(space, curves)[0].training_data()
    assert len(data.errors) == 5
    crashed = data.configs >= 2
    np.testing.assert_array_equal(data.errors[crashed], data.errors[~crashed].max())
    np.testing.assert_array_equal(data.levels[crashed], 1)
    only = evidence_of(space, [{1: None}])[0].training_data()
    np.testing.assert_array_equal(only.errors, [1.0])


def test_what_only_higher_rungs_show_is_expected_of_those_that_were_not_there(space: SearchSpace) -> None:
    """At one epoch the kernel alone counts; at nine, among those that got there, the stem as well."""
    hps = list(space.configspace())
    kernel, stem = hps.index("kernel_mid"), hps.index("stem")
    rows = Candidates(space.configspace()).unseen(120, set(), np.random.RandomState(1))
    evidence, rng = Evidence((1, 9)), np.random.RandomState(2)
    for number, row in enumerate(rows):
        evidence.add(row, 1, 0.6 + 0.05 * row[kernel] + 0.005 * rng.randn())
        if number < 40:
            high = 0.3 + 0.05 * row[kernel] + 0.1 * row[stem] + 0.005 * rng.randn()
            evidence.add(row, 9, high)
    process = ChoiceProcess(space.configspace())
    process.tune(evidence.training_data())
    process.learn(evidence.training_data())
    mean = process.means(rows[40:])
    np.testing.assert_allclose(mean, 0.3 + 0.05 * rows[40:, kernel] + 0.1 * rows[40:, stem], atol=0.04)


def test_a_rung_that_was_not_there_when_the_model_was_tuned(space: SearchSpace) -> None:
    curves: list[dict[int, float | None]] = [{1: 0.5 + 0.01 * n} for n in range(12)]
    process = ChoiceProcess(space.configspace())
    process.tune(evidence_of(space, curves)[0].training_data())
    curves[0][3] = 0.3
    evidence, rows = evidence_of(space, curves)
    process.learn(evidence.training_data())
    assert np.isfinite(process.means(rows)).all()


@pytest.mark.parametrize("errors", [[0.3, 0.3, 0.3], [0.2, 0.5, 0.9]])
def test_warping_keeps_the_order_and_stays_finite(space: SearchSpace, errors: list[float]) -> None:
    warped = evidence_of(space, [{1: error} for error in errors])[0].training_data().warped()
    assert np.isfinite(warped.errors).all()
    assert (np.argsort(warped.errors, kind="stable") == np.argsort(errors, kind="stable")).all()


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
    learn = ChoiceProcess.learn

    def counted(self: ChoiceProcess, data: TrainingData, seed: int = 0) -> None:
        learnt.append(len(data.errors))
        learn(self, data, seed)

    monkeypatch.setattr(ChoiceProcess, "learn", counted)
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
