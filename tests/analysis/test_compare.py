"""Comparisons: what belongs together, bands, the test, agreement, files."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import permutations
from math import comb
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.compare import comparison, consensus, groups
from analysis.compare.__main__ import main
from analysis.frames import Run, load
from analysis.importance import Settings
from nas.util.errors import UserError

QUICK = Settings(engine="local", trees=8, bootstrap=0)


def error(shift: float = 0.0):
    def value(config, epochs, rng):
        kernel = {3: 0.6, 5: 0.0, 7: 0.3, 9: 1.0}[config["kernel_mid"]]
        return shift + 0.2 + 0.2 * (not config["bottleneck"]) + 0.1 * kernel + 0.5 / (1 + epochs)

    return value


@pytest.fixture
def make(write_run, tmp_path: Path):
    def run(
        name: str, seed: int, shift: float = 0.0, trials: int = 120, optimizer: str = "smac", **other
    ) -> Run:
        path = write_run(tmp_path / name, trials, error(shift), seed=seed)
        search = json.loads((path / "search.json").read_text())
        search["settings"]["choice"] |= {"seed": seed, "optimizer": optimizer}
        search |= {
            key: {**search[key], **new} if isinstance(new, dict) else new for key, new in other.items()
        }
        (path / "search.json").write_text(json.dumps(search))
        return load(path)

    return run


def test_repeats_are_one_group_and_labels_say_what_differs(make) -> None:
    runs = [make("a", 0), make("b", 1), make("c", 0, optimizer="random")]
    assert [(part.label, len(part.runs)) for part in groups.group(runs)] == [("smac", 2), ("random", 1)]
    wide = make("d", 2, width=32)
    assert [part.label for part in groups.group([runs[0], wide])] == ["smac, width 16", "smac, width 32"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rungs": [1, 3]}, "their highest rungs differ"),
        ({"data": {"name": "simulated", "fingerprint": "other"}}, "their data differ"),
        ({"space": {"name": "nexception", "fingerprint": "other"}}, "their search spaces differ"),
    ],
)
def test_runs_that_do_not_compare_are_refused(change, said: str, make) -> None:
    with pytest.raises(UserError, match=said):
        groups.group([make("a", 0), make("b", 1, **change)])


def test_too_few_runs_or_one_twice(make) -> None:
    run = make("a", 0)
    with pytest.raises(UserError, match="at least two"):
        groups.group([run])
    with pytest.raises(UserError, match="occurs twice"):
        groups.group([run, run])


def test_the_best_so_far_is_read_off_the_record(make) -> None:
    run = make("a", 0)
    leads = run.incumbents
    before = groups.best_at(run, leads["clock"].to_numpy() - 1e-6)
    np.testing.assert_array_equal(groups.best_at(run, leads["clock"].to_numpy()), leads["top1"])
    assert np.isnan(before[0])
    np.testing.assert_array_equal(before[1:], leads["top1"].iloc[:-1])


def test_bands(make) -> None:
    runs = [make(str(seed), seed, shift=0.02 * seed) for seed in range(3)]
    table = groups.progress(groups.group(runs)).dropna()
    last = table.iloc[-1]
    finals = groups.finals(groups.group(runs))["top1"]
    assert last["top1"] == pytest.approx(finals.mean())
    assert last["low"] < finals.mean() < last["high"]
    two = groups.progress(groups.group(runs[:2])).dropna().iloc[-1]
    assert (two["low"], two["high"]) == (finals[:2].min(), finals[:2].max())


def table(**groups_: list[float]) -> pd.DataFrame:
    return pd.DataFrame(
        [(name, top1) for name, values in groups_.items() for top1 in values], columns=["group", "top1"]
    )


def test_the_test_is_the_share_of_relabellings_as_extreme() -> None:
    """The exact U test against its definition: all ways to deal the runs into two groups."""
    a, b = [0.9, 0.8, 0.7, 0.75], [0.6, 0.72, 0.5, 0.4, 0.65]
    row = groups.tests(table(a=a, b=b)).iloc[0]

    def wins(first, second) -> float:
        return sum(x > y for x in first for y in second)

    dealt = [frozenset(chosen) for chosen in permutations(a + b, 4)]
    centre = len(a) * len(b) / 2
    counts = [wins(chosen, set(a + b) - chosen) for chosen in set(dealt)]
    extreme = np.mean([abs(count - centre) >= abs(wins(a, b) - centre) for count in counts])
    assert row["p"] == pytest.approx(extreme)
    assert row["better"] == pytest.approx(wins(a, b) / 20)
    assert "a is better" in row["verdict"]


def test_few_runs_are_called_few() -> None:
    row = groups.tests(table(a=[0.9, 0.8, 0.85], b=[0.1, 0.2, 0.3])).iloc[0]
    assert row["least_p"] == pytest.approx(2 / comb(6, 3))
    assert "too few runs (3 and 3)" in row["verdict"]
    alone = groups.tests(table(a=[0.9], b=[float("nan")])).iloc[0]
    assert "too few runs (1 and 0)" in alone["verdict"]


def test_equal_runs_show_no_difference_and_many_pairs_are_corrected() -> None:
    same = groups.tests(table(a=[0.5] * 5, b=[0.5] * 5)).iloc[0]
    assert "no difference shown" in same["verdict"]
    low, mid, high = ([base + 0.01 * k for k in range(5)] for base in (0.1, 0.5, 0.8))
    alone = groups.tests(table(a=low, b=high)).iloc[0]
    three = groups.tests(table(a=low, b=mid, c=high))
    assert three["p"].min() == pytest.approx(3 * alone["p"])
    assert groups.tests(table(a=low)).empty


def test_runs_of_one_function_agree_on_its_choices(make) -> None:
    runs = [make("a", 0, trials=400), make("b", 1, trials=400), make("few", 2, trials=6)]
    found = consensus.agreement(runs, replace(QUICK, trees=32)).set_index("hyperparameter")
    assert found.loc["bottleneck", ["runs", "best", "agreeing"]].tolist() == [2, True, 2]
    assert found.loc["kernel_mid", "best"] == 5
    assert found.loc["kernel_mid", "rank_correlation"] > 0.9
    shares = consensus.importances(groups.group(runs), QUICK)
    assert set(shares["run"]) == {"a", "b"}
    means = shares.groupby("hyperparameter")["importance"].mean()
    assert means.nlargest(2).index.tolist() == ["bottleneck", "kernel_mid"]


def test_rank_correlation_of_opposites() -> None:
    assert consensus.mean_rank_correlation(np.array([[1.0, 2, 3], [3, 2, 1]])) == pytest.approx(-1)
    assert np.isnan(consensus.mean_rank_correlation(np.array([[1.0, 2, 3]])))


def test_the_command_writes_tables_and_figures(make, tmp_path: Path, capsys) -> None:
    runs = [make("a", 0), make("b", 1), make("c", 0, 0.05, optimizer="random"), make("none", 3, trials=2)]
    paths = [str(run.path) for run in runs]
    assert main([*paths, "--trees", "8"]) == 0
    said = capsys.readouterr().out
    assert "too few runs" in said
    assert "no network trained for 9 epochs: none" in said
    folder = tmp_path / "comparison"
    for name in ("progress", "finals", "tests", "importances", "agreement"):
        assert len(pd.read_csv(folder / f"{name}.csv")) > 0
    for name in ("progress", "importances", "learning-curves"):
        assert (folder / f"{name}.png").stat().st_size > 5_000
        assert "<svg" in (folder / f"{name}.svg").read_text()
    (tmp_path / "in the way").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        main([*paths, "--trees", "8", "-o", str(tmp_path / "in the way")])


def test_times_are_cut_to_what_all_share(make) -> None:
    runs = [make("a", 0), make("b", 1, trials=60)]
    found = comparison.compare(runs, QUICK)
    assert found.progress["seconds"].max() == min(run.clock for run in runs)
    assert any("which every run has searched" in note for note in found.notes)
    assert comparison.compare([runs[0], replace(runs[1], clock=runs[0].clock)], QUICK).notes == ()
