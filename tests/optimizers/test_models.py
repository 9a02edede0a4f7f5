"""What is learnt of errors, by the forest and the process, and where their best is looked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ConfigSpace import ConfigurationSpace
from smac import Scenario
from smac.model.random_forest.random_forest import RandomForest

from nas.optimizers.smac.candidates import Candidates
from nas.optimizers.smac.evidence import Evidence, TrainingData
from nas.optimizers.smac.forest import Forest
from nas.optimizers.smac.gaussian_process import GaussianProcess
from nas.optimizers.smac.maximizer import PoolSearch
from search_spaces.base import SearchSpace


def scenario_of(space: ConfigurationSpace) -> Scenario:
    return Scenario(space, name="test", output_directory=Path("/nowhere"), deterministic=True, seed=0)


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
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern

    class Product(RBF):  # type: ignore[misc]
        """Of the two parts, each over some of the columns."""

        def __call__(self, X: np.ndarray, Y: np.ndarray | None = None, eval_gradient: bool = False) -> Any:
            Y = X if Y is None else Y
            return RBF(1 / np.sqrt(2))(X[:, :n], Y[:, :n]) * Matern(1.0, nu=2.5)(X[:, n:], Y[:, n:])

    data, probes = process_data(mixed)
    ours = GaussianProcess(mixed)
    ours.tune(data)
    ours.learn(data)
    noise = ours._factor[0]
    n = ours._points.choices.shape[1]
    assert ours._points.numbers.shape[1] == 4
    points = np.concatenate(ours._points, axis=1)
    K = ours._signal * Product()(points)
    lower = np.tril(noise)
    alpha = np.diag(lower @ lower.T - K)
    order = np.argsort(data.errors, kind="stable")
    theirs = GaussianProcessRegressor(
        ConstantKernel(ours._signal) * Product(), alpha=alpha, optimizer=None
    ).fit(points, (data.errors[order] - ours._mean) / ours._scale)
    mean, spread = theirs.predict(
        np.concatenate(ours._kernel.points(probes, ours._decay), axis=1), return_std=True
    )
    found = ours.predict_marginalized(probes)
    np.testing.assert_allclose(ours.means(probes), found[0].ravel(), rtol=1e-12)
    rows, errors = ours.leaders(3)
    np.testing.assert_allclose(errors, np.sort(ours.means(data.rows))[:3], rtol=1e-9)
    np.testing.assert_allclose(errors, ours.means(rows), rtol=1e-9)  # fewer rows may be summed otherwise
    np.testing.assert_allclose(found[0].ravel(), ours._mean + ours._scale * mean, rtol=1e-6)
    np.testing.assert_allclose(found[1].ravel(), (ours._scale * spread) ** 2, rtol=1e-4, atol=1e-9)


def test_distances_are_those_of_the_values(space: SearchSpace) -> None:
    configspace = space.configspace()
    process = GaussianProcess(configspace)
    rows = Candidates(configspace).sample(30, np.random.RandomState(1))
    names = list(configspace)
    for name, codes in zip(names, process._kernel.coded(rows), strict=True):
        column = rows[:, names.index(name)]
        apart = np.abs(column[:, None] - column)
        ordinal = space.hyperparameters[name].ordinal
        expected = apart / (len(space.hyperparameters[name].choices) - 1) if ordinal else apart > 0
        np.testing.assert_allclose(((codes[:, None] - codes[None]) ** 2).sum(-1), expected, atol=1e-12)


def test_the_process_finds_out_what_matters(space: SearchSpace) -> None:
    configspace = space.configspace()
    data, probes = process_data(configspace)
    process = GaussianProcess(configspace)
    process.tune(data)
    process.learn(data)
    decay = process._decay
    assert decay[1] > 3 * np.delete(decay, 1).max()
    mean, variance = process.predict_marginalized(probes)
    np.testing.assert_allclose(mean.ravel(), 0.4 + 0.1 * probes[:, 1], atol=0.02)
    assert (np.sqrt(variance) < 0.05).all()


@pytest.mark.parametrize("numbers", [(False, False, False), (True, False, True), (True, True, True)])
def test_the_slope_of_the_likelihood_is_exact(numbers: tuple[bool, ...]) -> None:
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
    loss = _likelihood(distances, np.array(numbers), data)[0]
    at = rng.randn(7) * 0.3
    np.testing.assert_allclose(
        loss(at)[1], approx_fprime(at, lambda p: loss(p)[0], 1e-6), rtol=1e-3, atol=1e-4
    )


def test_many_trials_do_not_make_a_model_that_takes_minutes(space: SearchSpace) -> None:
    configspace = space.configspace()
    data, probes = process_data(configspace, 3000)
    process = GaussianProcess(configspace)
    process.tune(data)
    process.learn(data)
    assert len(process._points.choices) == 400
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
    process = GaussianProcess(space.configspace())
    process.tune(evidence.training_data())
    process.learn(evidence.training_data())
    mean = process.means(rows[40:])
    np.testing.assert_allclose(mean, 0.3 + 0.05 * rows[40:, kernel] + 0.1 * rows[40:, stem], atol=0.04)


def test_a_rung_that_was_not_there_when_the_model_was_tuned(space: SearchSpace) -> None:
    curves: list[dict[int, float | None]] = [{1: 0.5 + 0.01 * n} for n in range(12)]
    process = GaussianProcess(space.configspace())
    process.tune(evidence_of(space, curves)[0].training_data())
    curves[0][3] = 0.3
    evidence, rows = evidence_of(space, curves)
    process.learn(evidence.training_data())
    assert np.isfinite(process.means(rows)).all()


@pytest.mark.parametrize("errors", [[0.3, 0.3, 0.3], [0.2, 0.5, 0.9]])
def test_warping_keeps_the_order_and_stays_finite(space: SearchSpace, errors: list[float]) -> None:
    data = evidence_of(space, [{1: error} for error in errors])[0].training_data()
    for scaled in (data.warped().errors, data.tempered().errors):
        assert np.isfinite(scaled).all()
        assert (np.argsort(scaled, kind="stable") == np.argsort(errors, kind="stable")).all()


def test_a_few_very_bad_errors_do_not_stretch_the_scale_of_the_others() -> None:
    errors = np.array([0.10, 0.12, 0.11, 0.13, 0.14, 0.95, 0.99])
    found = TrainingData.of(np.zeros((7, 1)), errors).tempered().errors
    np.testing.assert_array_equal(found[:5], errors[:5])
    assert found.max() < 0.35
    assert found[6] > found[5] > found[4]
