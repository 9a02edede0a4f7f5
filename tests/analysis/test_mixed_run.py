"""A run of a space with numbers and conditions: frames, importances, report and DeepCAVE's export."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd
import pytest
from ConfigSpace import ConfigurationSpace

from analysis import levels
from analysis.deepcave.exporter import snapshot
from analysis.frames import Run, load
from analysis.importance import Settings, by_budget, engines, importances, marginals
from analysis.report.__main__ import main
from nas.execution.simulated import SimulatedResult
from nas.optimizers.settings import OptimizerSettings
from nas.run.folder import Run as Folder
from nas.run.state import SearchState
from nas.util.errors import UserError

MIXED = Path(__file__).parents[1] / "search_spaces" / "mixed_space.py"


def error(config: dict[str, Any], epochs: int, seed: int) -> SimulatedResult:
    """The stem matters most, then the width by its logarithm; dropout and decay do a little."""
    final = 0.2 + 0.2 * (config["stem"] == "conv") + 0.08 * abs(math.log2(config["width"] / 32))
    final += 0.05 * abs(config["dropout"] - 0.2) + 0.01 * ("decay" in config)
    errors = tuple(min(final + 0.3 / epoch, 1.0) for epoch in range(1, epochs + 1))
    return SimulatedResult(errors, seconds=1.0 + config["width"] / 8, params=1e4 * config["width"], macs=1e6)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, simulation: Any) -> Path:
    path = tmp_path_factory.mktemp("runs") / "mixed"
    half = OptimizerSettings(random_probability=0.5)
    simulation(path, problem=error, trials=90, space=str(MIXED), smac=half).run()
    return path


@pytest.fixture(scope="module")
def run(folder: Path) -> Run:
    return load(folder)


def test_frames_hold_values_as_they_are(run: Run) -> None:
    assert set(run.trials["stem"]) == {"conv", "patch"}
    patched = run.trials[run.trials["stem"] == "patch"]
    assert all(type(value) is int for value in patched["patch"])
    assert run.trials.loc[run.trials["stem"] == "conv", "patch"].isna().all()
    assert run.trials["dropout"].dtype == float
    assert run.default == {
        "stem": "conv",
        "patch": None,
        "kernel": 3,
        "depth": 1,
        "width": 8,
        "dropout": 0.1,
        "decay": None,
        "bias": "yes",
    }
    assert run.hyperparameters["stem"].meaning == "the first layer", "words come with the run's own file"
    json.dumps(run.config(int(run.measured["trial"].iloc[-1])))


def test_importances_see_numbers_and_conditions(run: Run) -> None:
    found = importances(run, Settings(engine="local", trees=16, bootstrap=2))
    overall = found.table[(found.table["budget"] == "overall") & (found.table["method"] == "fanova")]
    ranked = overall.sort_values("importance", ascending=False)["hyperparameter"].tolist()
    # A patch size is there only with a patch stem: the two tell the same.
    assert set(ranked[:2]) <= {"stem", "patch", "width"}
    assert "width" in ranked[:3]
    assert "bias" not in ranked
    assert np.isfinite(found.table["importance"].to_numpy()).all()


def test_what_is_inactive_around_the_winner_has_no_local_importance(run: Run) -> None:
    config = {**run.default, "stem": "conv", "patch": None}
    scores = engines.local(run, run.measured, config, trees=8, seed=0)["lpi"]
    by_name = {names[0]: mean for names, mean in zip(scores.names, scores.mean, strict=True)}
    assert by_name["patch"] == 0.0 == by_name["decay"]
    assert by_name["width"] > 0


def test_marginals_are_by_level_and_count_every_trial(run: Run) -> None:
    table = marginals.marginals(run, trees=8)
    for (epochs, name), rows in table.groupby(["epochs", "hyperparameter"]):
        assert rows["trials"].sum() == len(run.budget(int(epochs))), name
    widths = table[table["hyperparameter"] == "width"]["choice"].drop_duplicates().tolist()
    assert widths[0].startswith("4")
    assert widths[-1].endswith("64")
    assert levels.INACTIVE in set(table[table["hyperparameter"] == "patch"]["choice"])
    assert marginals.crashes(run)["crashed"].sum() == 0


@pytest.mark.parametrize(
    ("hp", "values"),
    [
        ({"type": "uniform_float", "lower": 1e-4, "upper": 1.0, "log": True}, np.geomspace(1e-4, 1, 50)),
        ({"type": "uniform_float", "lower": -1.0, "upper": 1.0, "log": False}, np.linspace(-1, 1, 50)),
        ({"type": "uniform_int", "lower": 1, "upper": 5, "log": False}, range(1, 6)),
        ({"type": "uniform_int", "lower": 3, "upper": 500, "log": True}, range(3, 501)),
        ({"type": "uniform_int", "lower": 0, "upper": 13, "log": False}, range(14)),
    ],
)
def test_levels_cover_a_range_in_order(hp: dict[str, Any], values: Any) -> None:
    found = levels._read({"name": "x", "default_value": hp["lower"], "meta": None, **hp}, optional=True)
    numbers = levels.codes(found, pd.Series([*values], dtype=object))
    assert (np.diff(numbers) >= 0).all()
    assert numbers[0] == 0
    assert numbers[-1] == levels.active(found) - 1
    assert set(numbers) == set(range(levels.active(found)))
    assert (
        levels.codes(found, pd.Series([None, float("nan")], dtype=object)).tolist()
        == [levels.active(found)] * 2
    )


def test_the_report_is_written_with_what_each_choice_means(folder: Path, capsys: Any) -> None:
    assert main([str(folder), "--engine", "local", "--trees", "8", "--bootstrap", "2"]) == 0, (
        capsys.readouterr().err
    )
    page = next(folder.rglob("report.html")).read_text()
    assert "the first layer" in page
    assert "infinitely many" in page
    assert "NaN" not in page.split("<script", 1)[0]


def test_deepcave_gets_levels_and_the_values_beside_them(folder: Path) -> None:
    opened = Folder.open(folder)
    state = SearchState.of(opened.read_journal().events)
    export = snapshot(opened, state)
    assert orjson.loads(orjson.dumps(export)) == export
    space = {hp["name"]: hp for hp in export["configspace"]["hyperparameters"]}
    assert not export["configspace"]["conditions"]
    for config in export["configs"]:
        assert set(config) == set(space)
        for name, level in config.items():
            assert level in space[name].get("choices", ["yes"]), name
    assert {config["patch"] for config in export["configs"] if config["stem"] == "conv"} == {"inactive"}
    read = ConfigurationSpace.from_serialized_dict(export["configspace"])
    assert read["stem"].default_value == "conv"
    values = export["trials"][-1]["additional"]["values"]
    assert 0 <= values["dropout"] <= 0.5


def test_a_space_of_choices_is_exported_as_it_is(finished_run: Path) -> None:
    opened = Folder.open(finished_run)
    export = snapshot(opened, SearchState.of(opened.read_journal().events))
    assert export["configspace"] == orjson.loads(opened.configspace_json.read_bytes())
    assert "values" not in export["trials"][0]["additional"]


def test_a_trial_without_a_choice_that_is_always_there_is_named(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    known = orjson.loads((copy / "configspace.json").read_bytes())
    known["hyperparameters"].append({**known["hyperparameters"][0], "name": "more"})
    (copy / "configspace.json").write_bytes(orjson.dumps(known))
    with pytest.raises(UserError, match="trial 1 has no more; the journal is of another space"):
        load(copy)


def test_deepcaves_own_evaluators_take_the_levels(folder: Path) -> None:
    """Its fANOVA agrees on what matters; the path from the base to the winner has the same changes."""
    fresh = load(folder)
    found = importances(fresh, Settings(engine="deepcave", trees=16, bootstrap=0)).table
    lowest = found[found["budget"] == "1"]
    theirs = lowest[(lowest["method"] == "fanova") & (lowest["engine"] == "deepcave")]
    assert len(theirs) == 7, "all but the constant"
    ranked = theirs.sort_values("importance", ascending=False)["hyperparameter"].tolist()
    assert set(ranked[:2]) <= {"stem", "patch", "width"}
    path = lowest[(lowest["method"] == "ablation") & (lowest["engine"] == "deepcave")]
    assert set(path["hyperparameter"]) <= set(fresh.differing(fresh.config(by_budget.find_centre(fresh))))
    assert len(path)
