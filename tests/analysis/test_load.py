"""A run folder becomes frames, whole and fast."""

from __future__ import annotations

import time
from pathlib import Path

import pandas as pd
import pytest

from analysis.frames import load
from nas.run.folder import Run as Folder
from nas.run.state import SearchState
from nas.util.errors import UserError
from search_spaces.base import RESERVED


def test_trials_are_the_journals(finished_run: Path) -> None:
    run = load(finished_run)
    state = SearchState.of(Folder.open(finished_run).read_journal().events)
    assert list(run.trials.index) == list(state.trials)
    for number, trial in state.trials.items():
        row = run.trials.loc[number]
        assert run.config(number) == trial.config
        assert (row["status"], row["epochs"], row["cached"]) == (trial.status, trial.epochs, trial.cached)
        assert row["error"] == trial.error or (trial.error is None and pd.isna(row["error"]))
    assert len(run.curves) == sum(len(trial.curve) for trial in state.trials.values())
    assert list(run.incumbents["trial"]) == state.incumbents
    assert run.incumbent is not None
    assert run.incumbent["trial"] == state.incumbent
    assert len(run.crashed) == len(state.crashed)
    assert run.clock == state.clock


def test_measured_holds_each_configuration_once_a_budget(finished_run: Path) -> None:
    measured = load(finished_run).measured
    assert not measured.duplicated(["config_id", "epochs"]).any()
    assert measured["error"].notna().all()


def test_types_times_and_order(finished_run: Path) -> None:
    run = load(finished_run)
    assert next(iter(run.hyperparameters)) == "stem"
    assert run.trials["bottleneck"].dtype == bool
    assert run.trials["started"].dt.tz is not None
    finished = run.measured
    assert (finished["ended"] >= finished["started"]).all()
    assert run.sessions["reason"].tolist() == ["trials"]
    assert run.rungs == [1, 3, 9]
    baseline = run.baseline(9)
    assert baseline is not None
    assert run.config(baseline["trial"]) == run.default


def test_a_run_that_has_only_begun(write_run, tmp_path: Path) -> None:
    path = write_run(tmp_path / "r", 3, lambda *_: 0.5)
    lines = (path / "trials.jsonl").read_bytes().splitlines(keepends=True)
    (path / "trials.jsonl").write_bytes(b"".join(lines[:3]) + lines[3][:20])
    run = load(path)
    assert run.trials["status"].tolist() == ["running"]
    assert run.incumbent is None
    assert run.measured.empty
    assert run.curves.empty
    assert run.dropped == 20
    assert run.sessions["ended"].isna().all()


def test_an_empty_journal(write_run, tmp_path: Path) -> None:
    path = write_run(tmp_path / "r", 3, lambda *_: 0.5)
    (path / "trials.jsonl").write_bytes(b"")
    run = load(path)
    assert run.trials.empty
    assert "kernel_mid" in run.trials


def test_a_space_that_is_no_longer_registered(write_run, tmp_path: Path) -> None:
    path = write_run(tmp_path / "r", 3, lambda *_: 0.5)
    search = (path / "search.json").read_text()
    (path / "search.json").write_text(search.replace('"name": "nexception"', '"name": "gone"'))
    run = load(path)
    assert run.default["stem"] == "conv"
    assert run.hyperparameters["kernel_mid"].ordinal


def test_no_choice_can_be_taken_for_a_figure(write_run, tmp_path: Path) -> None:
    path = write_run(tmp_path / "r", 3, lambda *_: 0.5)
    own = set(load(path).trials) - set(load(path).hyperparameters)
    assert own == RESERVED, "what search_spaces.base refuses is what the frame has"
    space = (path / "configspace.json").read_text()
    (path / "configspace.json").write_text(space.replace('"pool"', '"epochs"'))
    with pytest.raises(UserError, match=r"configspace\.json: a hyperparameter is called epochs") as caught:
        load(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: (path / "search.json").unlink(), "not a run folder"),
        (lambda path: (path / "configspace.json").write_text("{"), "configspace.json: not readable"),
        (lambda path: (path / "trials.jsonl").write_bytes(b"garbage\n"), "line 1 is damaged"),
    ],
)
def test_damage_is_one_line(damage, said: str, write_run, tmp_path: Path) -> None:
    path = write_run(tmp_path / "r", 3, lambda *_: 0.5)
    damage(path)
    with pytest.raises(UserError, match=said) as caught:
        load(path)
    assert "\n" not in str(caught.value)


def test_ten_thousand_trials_load_in_two_seconds(write_run, tmp_path: Path) -> None:
    path = write_run(tmp_path / "r", 10_000, lambda _, epochs, rng: 0.3 + 0.3 / epochs + 0.01 * rng.random())
    begin = time.process_time()  # of this process: other tests share the cores
    run = load(path)
    assert time.process_time() - begin < 2
    assert len(run.trials) == 10_000
    assert len(run.curves) > 10_000
