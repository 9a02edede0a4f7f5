"""The methods against what they compute by definition, on functions whose importances are known."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.importance import ablation, fanova, forest, lpi
from search_spaces.base import Hyperparameter


def space(*sizes: int, ordinal: bool = False) -> dict[str, Hyperparameter]:
    return {
        name: Hyperparameter(name, tuple(range(size)), 0, meaning="", source="", ordinal=ordinal)
        for name, size in zip("abcdef", sizes, strict=False)
    }


def table(hps: dict[str, Hyperparameter], error, n: int | None = None, seed: int = 0) -> pd.DataFrame:
    """All configurations with their errors, or ``n`` of them drawn with replacement."""
    configs = pd.DataFrame(list(product(*(hp.choices for hp in hps.values()))), columns=list(hps))
    configs["error"] = [error(**config) for config in configs.to_dict("records")]
    return configs if n is None else configs.sample(n, replace=True, random_state=seed)


def by_definition(grid: pd.DataFrame, values: np.ndarray, names: list[str]):
    """Main and pair shares from the variance of conditional means over the whole space."""
    values = pd.Series(values, index=grid.index)
    total = values.var(ddof=0)
    mains = {name: values.groupby(grid[name]).mean().var(ddof=0) for name in names}
    pairs = {
        (i, j): values.groupby([grid[i], grid[j]]).mean().var(ddof=0) - mains[i] - mains[j]
        for i, j in combinations(names, 2)
    }
    return [mains[n] / total for n in names], [pairs[p] / total for p in pairs]


@settings(max_examples=15, deadline=None)
@given(
    sizes=st.lists(st.integers(2, 4), min_size=2, max_size=4),
    ordinal=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_fanova_is_the_variance_decomposition_of_each_tree(sizes, ordinal, seed) -> None:
    hps = space(*sizes, ordinal=ordinal)
    rng = np.random.default_rng(seed)
    grid = table(hps, lambda **_: rng.random())
    trials = grid.sample(20, replace=True, random_state=seed)
    fitted = forest.fit(trials, hps, n_trees=3, seed=seed)
    predictions = fitted.predict(forest.encode(grid, fitted.hyperparameters))
    mains = fanova.main_effects(fitted)
    pairs, shares = fanova.pair_effects(fitted)
    assert pairs == list(combinations(hps, 2))
    for tree, values in enumerate(predictions):
        if values.std() < 1e-9:
            assert not mains[tree].any()
            continue
        expected_mains, expected_pairs = by_definition(grid, values, list(hps))
        np.testing.assert_allclose(mains[tree], expected_mains, atol=1e-9)
        np.testing.assert_allclose(shares[tree], expected_pairs, atol=1e-9)


@pytest.mark.parametrize("ordinal", [False, True])
def test_boxes_predict_what_the_forest_learnt(ordinal: bool) -> None:
    hps = space(4, 3, 2, ordinal=ordinal)
    grid = table(hps, lambda a, b, c: a + 10 * b + 100 * c)
    fitted = forest.fit(pd.concat([grid] * 20), hps, n_trees=8)
    predicted = fitted.predict(forest.encode(grid, fitted.hyperparameters))
    np.testing.assert_allclose(predicted.mean(axis=0), grid["error"], atol=1e-6)


def test_boxes_fill_the_space_once() -> None:
    hps = space(4, 3, 2)
    fitted = forest.fit(table(hps, lambda a, b, c: a * b + c, n=40), hps, n_trees=4)
    for tree in fitted.trees:
        assert tree.fractions.prod(axis=0).sum() == pytest.approx(1)


def test_a_part_of_the_forest_predicts_as_the_whole_does_there() -> None:
    hps = space(4, 3, 2)
    grid = table(hps, lambda a, b, c: a * b + c)
    fitted = forest.fit(grid, hps, n_trees=4)
    part = grid[grid["b"] == 2]
    expected = fitted.predict(forest.encode(part, fitted.hyperparameters))
    inside = fitted.at("b", 2)
    assert inside.names == ["a", "c"]
    np.testing.assert_array_equal(inside.predict(forest.encode(part, inside.hyperparameters)), expected)
    assert fitted.at("epochs", 9) is fitted


def test_a_hyperparameter_with_one_choice_is_left_out() -> None:
    hps = space(3, 1, 2)
    fitted = forest.fit(table(hps, lambda a, b, c: a), hps, n_trees=4)
    assert fitted.names == ["a", "c"]
    assert fanova.main_effects(fitted).mean(axis=0)[0] > 0.99


def test_fanova_agrees_with_optuna() -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    hps = space(2, 3, 4, 2)
    trials = table(hps, lambda a, b, c, d: 3 * a + b + 0.2 * c + 0.05 * d, n=150)
    ours = fanova.main_effects(forest.fit(trials, hps, n_trees=32)).mean(axis=0)
    study = optuna.create_study()
    kinds = {name: optuna.distributions.CategoricalDistribution(hp.choices) for name, hp in hps.items()}
    for row in trials.to_dict("records"):
        value = row.pop("error")
        study.add_trial(optuna.trial.create_trial(params=row, distributions=kinds, value=value))
    evaluator = optuna.importance.FanovaImportanceEvaluator(n_trees=32, seed=0)
    theirs = optuna.importance.get_param_importances(study, evaluator=evaluator)
    np.testing.assert_allclose(ours / ours.sum(), [theirs[name] for name in hps], atol=0.05)


def test_lpi_sees_two_choices_and_gives_the_shares_of_an_additive_function() -> None:
    hps = space(2, 3, 4)
    grid = table(hps, lambda a, b, c: 0.3 * a + 0.2 * b + 0 * c)
    shares = lpi.importances(forest.fit(pd.concat([grid] * 20), hps, n_trees=8), {"a": 0, "b": 0, "c": 0})
    variances = np.array([np.var([0, 0.3]), np.var([0, 0.2, 0.4]), 0])
    np.testing.assert_allclose(shares.mean(axis=0), variances / variances.sum(), atol=1e-6)
    np.testing.assert_allclose(shares.sum(axis=1), 1)


def test_lpi_is_local() -> None:
    hps = space(2, 2)
    grid = pd.concat([table(hps, lambda a, b: float(a and b))] * 20)
    fitted = forest.fit(grid, hps, n_trees=8)
    assert lpi.importances(fitted, {"a": 1, "b": 0}).mean(axis=0) == pytest.approx([0, 1])
    assert lpi.importances(fitted, {"a": 1, "b": 1}).mean(axis=0) == pytest.approx([0.5, 0.5])


def test_lpi_of_a_constant_function_is_zero_not_nan() -> None:
    hps = space(2, 3)
    fitted = forest.fit(table(hps, lambda **_: 0.5), hps, n_trees=4)
    assert not lpi.importances(fitted, {"a": 0, "b": 0}).any()
    assert not fanova.main_effects(fitted).any()


def test_ablation_takes_the_most_helpful_change_first() -> None:
    hps = space(2, 3, 4)
    grid = pd.concat([table(hps, lambda a, b, c: 1 - 0.1 * a - 0.2 * (b == 2) + 0.1 * (c == 3))] * 20)
    fitted = forest.fit(grid, hps, n_trees=8)
    path = ablation.path(fitted, {"a": 0, "b": 0, "c": 0}, {"a": 1, "b": 2, "c": 3})
    assert path.hyperparameters == ("b", "a", "c")
    assert path.values == (2, 1, 3)
    np.testing.assert_allclose(path.gains.mean(axis=0), [0.2, 0.1, -0.1], atol=1e-6)
    np.testing.assert_allclose(path.errors[:, 0].mean(), 1.0, atol=1e-6)


def test_ablation_from_a_point_to_itself_is_empty() -> None:
    hps = space(2, 2)
    path = ablation.path(
        forest.fit(table(hps, lambda a, b: a + b), hps, n_trees=2), {"a": 0, "b": 1}, {"a": 0, "b": 1}
    )
    assert path.hyperparameters == ()
    assert path.errors.shape == (2, 1)
