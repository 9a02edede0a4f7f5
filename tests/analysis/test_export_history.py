from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from analysis.history.__main__ import main
from nas.run.folder import Run
from nas.run.state import SearchState
from nas.util.errors import UserError


@pytest.fixture
def run(finished_run: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "run"
    shutil.copytree(finished_run, copy)
    return copy


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_tables_hold_every_trial_with_its_choices(run: Path, form: str, tmp_path: Path) -> None:
    out = tmp_path / "deep" / f"table.{form}"
    assert main([str(run), "--format", form, "-o", str(out)]) == 0
    frame = pd.read_csv(out) if form == "csv" else pd.read_parquet(out)
    trials = SearchState.of(Run.open(run).read_journal().events).trials
    assert list(frame["trial"]) == list(trials)
    for _, row in frame.iterrows():
        trial = trials[row["trial"]]
        assert row["status"] == trial.status
        assert row["epochs"] == trial.epochs
        assert row["kernel_mid"] == trial.config["kernel_mid"]
        assert row["bottleneck"] == trial.config["bottleneck"]
        if trial.status == "success":
            assert row["error"] == pytest.approx(trial.error)
        else:
            assert pd.isna(row["error"])
            assert ("" if pd.isna(row["reason"]) else row["reason"]) == trial.reason


def test_smac_reads_its_layout_back(run: Path, tmp_path: Path) -> None:
    from ConfigSpace import ConfigurationSpace
    from smac.runhistory import RunHistory
    from smac.runhistory.enumerations import StatusType
    from smac.scenario import Scenario

    assert main([str(run), "--format", "smac", "-o", str(tmp_path / "smac")]) == 0
    history = RunHistory()
    space = ConfigurationSpace.from_json(tmp_path / "smac" / "configspace.json")
    history.load(tmp_path / "smac" / "runhistory.json", space)
    scenario = Scenario.load(tmp_path / "smac")
    assert (scenario.min_budget, scenario.max_budget) == (1, 9)
    state = SearchState.of(Run.open(run).read_journal().events)
    assert len(history) == state.finished
    crashed = [key for key, value in history.items() if value.status == StatusType.CRASHED]
    assert len(crashed) == len(state.crashed) > 0
    assert all(value.endtime > value.starttime > 1.7e9 for value in history.values() if value.status == 1)


def test_files_lie_in_the_run_by_default(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(run), "--format", "csv"])
    assert capsys.readouterr().out.strip() == str(run / "analysis" / "history.csv")
    main([str(run), "--format", "smac"])
    assert (run / "analysis" / "smac" / "run" / "runhistory.json").is_file()


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["{run}", "--format", "xml"], "--format"),
        (["{run}"], "--format"),
        (["{tmp}/none", "--format", "csv"], "not a run folder"),
        (["{run}", "--format", "csv", "-o", "/proc/none/table.csv"], "choose another with -o"),
    ],
)
def test_bad_input_is_one_line(run: Path, tmp_path: Path, args: list[str], line: str) -> None:
    with pytest.raises(UserError, match=line) as error:
        main([arg.format(run=run, tmp=tmp_path) for arg in args])
    assert "\n" not in str(error.value)


def test_a_run_without_finished_trials_is_one_line(run: Path) -> None:
    journal = run / "trials.jsonl"
    events = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(events[:2]))
    with pytest.raises(UserError, match="no trial has finished yet"):
        main([str(run), "--format", "smac"])
