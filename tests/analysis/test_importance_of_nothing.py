"""Equal, nearly equal, huge and tiny errors, ties and outliers: shares stay shares, nothing is made up."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from analysis.frames import load
from analysis.importance import Settings, ablation, engines, fanova, forest, importances, lpi, tables
from search_spaces.base import Hyperparameter

HPS = {
    name: Hyperparameter(name, tuple(range(size)), 0, meaning="", source="", ordinal=size == 4)
    for name, size in (("a", 2), ("b", 3), ("c", 4))
}
GRID = pd.DataFrame(list(product(*(hp.choices for hp in HPS.values()))), columns=list(HPS))


def every_method(errors: np.ndarray) -> dict[str, np.ndarray]:
    trials = GRID.assign(error=errors)
    fitted = forest.fit(pd.concat([trials, trials]), HPS, n_trees=4)
    centre = GRID.iloc[int(np.argmin(errors))].to_dict()
    return {
        "lpi": lpi.importances(fitted, centre),
        "fanova": fanova.main_effects(fitted),
        "fanova_pairs": fanova.pair_effects(fitted)[1],
        "ablation": ablation.path(fitted, GRID.iloc[0].to_dict(), centre).gains,
    }


def check_shares(found: dict[str, np.ndarray]) -> None:
    for method in ("lpi", "fanova", "fanova_pairs"):
        assert np.isfinite(found[method]).all(), method
        assert (found[method] >= 0).all(), method
        assert (found[method] <= 1).all(), method
    assert (found["lpi"].sum(axis=1) <= 1 + 1e-9).all()
    assert (found["fanova"].sum(axis=1) <= 1 + 1e-6).all()
    assert np.isfinite(found["ablation"]).all()


@settings(max_examples=60, deadline=None)
@given(
    levels=st.lists(st.floats(0, 1, width=32), min_size=1, max_size=4),
    scale=st.sampled_from([1e-12, 1e-6, 1.0, 1e6, 1e12]),
    offset=st.sampled_from([0.0, 1.0, 1e6]),
    data=st.data(),
)
def test_shares_are_shares_whatever_the_errors(levels, scale, offset, data) -> None:
    places = data.draw(st.lists(st.integers(0, len(levels) - 1), min_size=len(GRID), max_size=len(GRID)))
    check_shares(every_method((np.array(levels)[places] + offset) * scale))


@pytest.mark.parametrize("value", [0.0, 0.1, 0.3, 1 / 3, 1.0, 1e-150, 1e100])
def test_equal_errors_make_nothing_matter(value) -> None:
    found = every_method(np.full(len(GRID), value))
    assert not any(values.any() for values in found.values() if values.size)


def test_rounding_is_no_difference() -> None:
    rng = np.random.default_rng(0)
    found = every_method(0.3 + 1e-16 * rng.integers(-2, 3, len(GRID)))
    assert not any(found[method].any() for method in ("lpi", "fanova", "fanova_pairs"))


def test_one_outlier_is_found() -> None:
    errors = np.full(len(GRID), 0.3)
    errors[GRID.query("a == 1 and b == 2 and c == 3").index] = 0.9
    found = every_method(errors)
    check_shares(found)
    assert found["fanova"].any()


def test_the_smallest_real_difference_counts() -> None:
    """One image more of a million, by one choice."""
    found = every_method(0.3 + 1e-6 * GRID["a"].to_numpy())
    assert found["fanova"].mean(axis=0)[0] > 0.9
    assert found["lpi"].mean(axis=0)[0] > 0.9


@pytest.mark.parametrize("kind", ["all equal", "most equal"])
def test_a_run_of_equal_errors_says_so(write_run: Callable[..., object], tmp_path, kind) -> None:
    def error(config, epochs, rng) -> float:
        return 0.3 if kind == "all equal" or rng.random() < 0.95 else 0.25

    run = load(write_run(tmp_path / "run", 60, error))
    found = importances(run, Settings(engine="local", trees=8, bootstrap=2))
    shares = found.table[found.table["method"] != "ablation"]["importance"]
    assert shares.between(0, 1).all()
    assert shares.any() == (kind == "most equal")
    said = [note for note in found.notes if "have the same error; no choice can be seen to matter" in note]
    assert bool(said) == (kind == "all equal")


def test_the_table_of_pairs_holds_the_strongest_of_any_budget(
    write_run: Callable[..., object], tmp_path
) -> None:
    def error(config, epochs, rng) -> float:
        together = config["se"] and config["bottleneck"] if epochs == 1 else 0
        return 0.3 + 0.3 * together + 0.02 * rng.standard_normal()

    run = load(write_run(tmp_path / "run", 150, error))
    found = importances(run, Settings(engine="local", trees=8, bootstrap=0))
    pairs = found.of("fanova_pairs")
    first = pairs.loc[pairs["importance"].idxmax()]
    console = Console(record=True, width=200)
    tables.show(run, found, tmp_path, console)
    assert f"{first['hyperparameter']} x {first['partner']}" in console.export_text()


def test_what_deepcave_answers_is_kept_in_bounds() -> None:
    answer = {"method": "fanova", "values": {"a": [1.2e16, 1.0], "b": [-1e-18, 0.0]}}

    class Shown:
        hyperparameters = HPS

    scores = engines._read(answer, Shown(), {})  # type: ignore[arg-type]
    assert scores.mean.tolist() == [1.0, 0.0]
