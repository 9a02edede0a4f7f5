"""Importances of whole runs: ranks of a known function, crashes, thin budgets, files, errors."""

from __future__ import annotations

import io
import json
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

import search_spaces
from analysis.deepcave import bridge, environment
from analysis.frames import load
from analysis.importance import Settings, importances, marginals, tables
from analysis.importance import __main__ as importance
from analysis.importance import figures as figures_importance
from nas.util.errors import UserError

QUICK = Settings(engine="local", trees=32, bootstrap=2)


def error(config, epochs, rng, noise: float = 0.005) -> float:
    value = 0.3 + 0.5 / (1 + epochs) + 0.2 * (not config["bottleneck"]) + noise * rng.standard_normal()
    value += 0.10 * {3: 0.6, 5: 0.0, 7: 0.3, 9: 1.0}[config["kernel_mid"]]
    return value + 0.06 * (config["norm_positions"] != "12")


def test_searches_of_150_trials_recover_the_ranks(even_runs: list[Path]) -> None:
    """A known function of tests/conftest.py: bottleneck, norm_positions and kernel_mid, then nothing.

    Half of the trials are random: a model that soon leaves bad choices alone hardly sees what they cost.
    One search may get a rank wrong, three together do not (of the seeds 3 to 5 neither).
    """
    found = [importances(load(path), QUICK) for path in even_runs]
    for method in ("lpi", "fanova"):
        tables = [one.of(method).query("budget == 'overall'") for one in found]
        mean = pd.concat(tables).groupby("hyperparameter")["importance"].mean().sort_values()
        assert mean.index[-1] == "bottleneck"
        assert set(mean.index[-3:]) == {"bottleneck", "norm_positions", "kernel_mid"}
        assert mean.iloc[-3] > 1.5 * mean.iloc[-4]


def test_every_budget_agrees_where_trials_are_spread_evenly(write_run, tmp_path: Path) -> None:
    found = importances(load(write_run(tmp_path / "r", 300, error)), QUICK)
    for method in ("lpi", "fanova"):
        for _, rows in found.of(method).groupby("budget"):
            ranked = rows.sort_values("importance", ascending=False)["hyperparameter"].tolist()
            assert ranked[:2] == ["bottleneck", "kernel_mid"]
    shares = found.of("lpi").groupby("budget")["importance"].sum()
    np.testing.assert_allclose(shares, 1, atol=1e-6)


def test_overall_learns_from_all_budgets_what_the_highest_cannot_see(write_run, tmp_path: Path) -> None:
    """Only good choices are promoted: the highest budget alone knows next to nothing of the bad one."""

    def promoting(config, epochs, rng):
        return error(config, epochs, rng) if epochs == 1 or config["bottleneck"] else None

    table = importances(load(write_run(tmp_path / "r", 200, promoting)), QUICK).of("fanova")
    rows = table[table["hyperparameter"] == "bottleneck"].set_index("budget")
    assert rows.loc["9", "importance"] < 0.1
    assert rows.loc["overall", "importance"] > 0.6
    assert rows.loc["overall", "trials"] > rows.loc["1", "trials"]
    assert (rows["std_bootstrap"].drop("9") > 0).all()


def test_crashes_change_nothing_but_the_notes(write_run, tmp_path: Path) -> None:
    def crashing(config, epochs, rng):
        value = error(config, epochs, rng)
        return None if config["stem"] == "patchify" and rng.random() < 0.3 else value

    run = load(write_run(tmp_path / "r", 200, crashing))
    found = importances(run, QUICK)
    overall = found.of("fanova").query("budget == 'overall'").set_index("hyperparameter")["importance"]
    assert overall["stem"] < 0.05
    assert any("left out (" in note and "loss is nan" in note for note in found.notes)
    assert sum(found.of("lpi").groupby("budget")["trials"].first().drop("overall")) == len(run.measured)
    worst = marginals.crashes(run).iloc[0]
    assert (worst["hyperparameter"], worst["choice"]) == ("stem", "patchify")
    assert worst["share"] > 0.2


def test_thin_and_one_sided_budgets_say_so(write_run, tmp_path: Path) -> None:
    run = load(write_run(tmp_path / "r", 20, error))
    found = importances(run, QUICK)
    assert marginals.enough(run) == [1]
    assert set(found.table["budget"]) == {"1", "overall"}
    assert any(note.startswith("9 epochs: only") for note in found.notes)

    (tmp_path / "s").mkdir()
    only = load(write_run(tmp_path / "s" / "r", 40, lambda c, e, r: error({**c, "bottleneck": True}, e, r)))
    only.trials["bottleneck"] = True
    assert "bottleneck" in marginals.one_sided(only, 1)


def test_a_base_architecture_that_wins_has_no_path(write_run, tmp_path: Path) -> None:
    default = search_spaces.get("nexception").default
    run = load(write_run(tmp_path / "r", 60, lambda c, e, r: 0.1 if c == default else 0.5 + 0.1 * r.random()))
    found = importances(run, QUICK)
    assert found.centre == run.baseline(9)["trial"]
    assert found.of("ablation").empty
    choices = marginals.marginals(run, trees=8)
    assert set(figures_importance.all_figures(run, found, choices)) >= {"importance-ablation"}
    tables.show(run, found, run.analysis, Console(file=io.StringIO()))


def test_what_deepcave_cannot_answer_is_said(write_run, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(bridge, "evaluate", lambda _, requests: [{"error": "no"} for _ in requests])
    run = load(write_run(tmp_path / "r", 40, error))
    found = importances(run, replace(QUICK, engine="deepcave"))
    assert set(found.table["engine"]) == {"local"}
    assert any("DeepCAVE gave no ablation, fanova, fanova_pairs" in note for note in found.notes)


def test_marginals(write_run, tmp_path: Path) -> None:
    run = load(write_run(tmp_path / "r", 150, error))
    table = marginals.marginals(run, trees=16)
    rows = table[(table["hyperparameter"] == "bottleneck") & (table["epochs"] == 1)].set_index("choice")
    measured = 1 - run.budget(1).groupby("bottleneck")["error"].mean()
    assert rows.loc[True, "top1"] == pytest.approx(measured[True])
    assert rows.loc[True, "low"] < rows.loc[True, "top1"] < rows.loc[True, "high"]
    assert rows.loc[True, "model_top1"] - rows.loc[False, "model_top1"] == pytest.approx(0.2, abs=0.05)


def test_confidence_needs_three_values() -> None:
    assert np.isnan(marginals.confidence(np.array([0.5, 0.6]))).all()
    low, high = marginals.confidence(np.array([0.4, 0.5, 0.6]))
    assert (low, high) == pytest.approx((0.5 - 0.2484, 0.5 + 0.2484), abs=1e-3)


def test_the_command_writes_everything(finished_run: Path, tmp_path: Path, capsys) -> None:
    path = shutil.copytree(finished_run, tmp_path / "r")
    args = [str(path), "--engine", "local", "--trees", "8", "--bootstrap", "2", "--json"]
    assert importance.main(args) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["centre"]["trial"] == json.loads((path / "incumbent.json").read_text())["trial"]
    frame = pd.read_csv(path / "analysis" / "importance.csv", dtype={"budget": str})
    assert len(frame) == len(said["importance"])
    assert set(frame["method"]) == {"lpi", "fanova", "fanova_pairs", "ablation"}
    for name in (
        "importance-lpi",
        "importance-fanova",
        "importance-fanova-pairs",
        "importance-ablation",
        "marginals",
    ):
        assert (path / "analysis" / f"{name}.png").stat().st_size > 5_000
        assert "<svg" in (path / "analysis" / f"{name}.svg").read_text()
    assert not list((path / "analysis").glob(".*"))


def test_tables_cut_no_name_on_a_narrow_terminal(write_run, tmp_path: Path) -> None:
    run = load(write_run(tmp_path / "r", 60, error))
    console = Console(width=80, file=io.StringIO(), record=True)
    tables.show(run, importances(run, QUICK), run.analysis, console)
    said = console.export_text()
    assert "…" not in said
    for name in (*run.hyperparameters, "overall", "importance.csv"):
        assert name in said


@pytest.mark.parametrize(
    ("n_trials", "value", "said"),
    [
        (0, 0.5, "no trial has succeeded yet"),
        (12, None, "no trial has succeeded yet; 12 crashed"),
        (6, 0.5, "too few trials"),
    ],
)
def test_runs_without_an_answer(n_trials, value, said: str, write_run, tmp_path: Path) -> None:
    run = load(write_run(tmp_path / "r", n_trials, lambda *_: value))
    with pytest.raises(UserError, match=said) as caught:
        importances(run, QUICK)
    assert "\n" not in str(caught.value)


def test_bad_flags_and_folders(finished_run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--trees 1"):
        importance.main([str(finished_run), "--trees", "1"])
    with pytest.raises(UserError, match="not a run folder"):
        importance.main([str(tmp_path)])
    path = shutil.copytree(finished_run, tmp_path / "r")
    (path / "analysis").write_text("in the way")
    with pytest.raises(UserError, match="analysis: cannot be written"):
        importance.main([str(path)])


def test_deepcave_and_the_local_engine_agree_on_a_known_function(write_run, tmp_path: Path) -> None:
    run = load(write_run(tmp_path / "r", 150, error))
    ours = importances(run, Settings(engine="local", trees=32, bootstrap=0))
    theirs = importances(run, Settings(engine="deepcave", trees=32, bootstrap=0))
    assert environment.find() is not None
    keys = ["hyperparameter", "partner"]
    for method in ("fanova", "fanova_pairs"):
        a, b = (x.of(method).query("budget == '1'").set_index(keys)["importance"] for x in (ours, theirs))
        assert set(theirs.of(method).query("budget == '1'")["engine"]) == {"deepcave"}
        assert (a - b).abs().max() < 0.08
    paths = [x.of("ablation").query("budget == '1'").sort_values("step") for x in (ours, theirs)]
    assert [path["hyperparameter"].iloc[0] for path in paths] == ["bottleneck", "bottleneck"]
    assert paths[0]["importance"].iloc[0] == pytest.approx(paths[1]["importance"].iloc[0], abs=0.05)
    stock = theirs.of("lpi_stock").set_index(["hyperparameter", "budget"])["importance"]
    assert stock["bottleneck"].max() == 0  # why ours exists
    assert ours.of("lpi").query("hyperparameter == 'bottleneck'")["importance"].min() > 0.3


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["local", "deepcave"])
def test_ten_thousand_trials_in_a_minute(engine, write_run, tmp_path: Path) -> None:
    run = load(write_run(tmp_path / "r", 10_000, error))
    begin = time.perf_counter()
    found = importances(run, Settings(engine=engine))
    assert time.perf_counter() - begin < 60
    assert (
        found.of("lpi").query("budget == 'overall'").set_index("hyperparameter")["importance"].idxmax()
        == "bottleneck"
    )


def test_a_share_that_rounds_below_nothing_or_above_all_has_error_bars() -> None:
    rows = pd.DataFrame({"importance": [-1e-17, 0.5, 1 + 1e-15], "std_trees": 0.1, "std_bootstrap": 0.1})
    bars = figures_importance._clipped(rows)
    assert (bars >= 0).all()
    np.testing.assert_allclose(bars, [[0, 0.1, 0.1], [0.1, 0.1, 0]], atol=1e-9)
