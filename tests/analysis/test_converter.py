"""What reaches DeepCAVE is what the journal says; read with DeepCAVE itself, in its environment."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from analysis.deepcave import environment
from analysis.deepcave.exporter import Exporter, export_path
from analysis.history.__main__ import main as export
from nas.run.folder import Run
from nas.run.state import SearchState
from nas.util.errors import UserError

DUMP = """
import json, sys
from cave.converter import SearchRun
from cave.sample import Sample, successes
run = SearchRun.from_path(sys.argv[1])
error = run.get_objective("error")
trials = successes(run, 1)
sample = Sample(run, error, trials)
best, cost = run.get_incumbent(error)
print(json.dumps({
    "name": run.name,
    "optimizer": run.prefix,
    "valid": SearchRun.is_valid_run(sys.argv[1]),
    "objectives": [[o.name, o.optimize] for o in run.get_objectives()],
    "budgets": run.get_budgets(human=True),
    "highest": run.get_highest_budget(),
    "history": [
        [t.additional, run.configs[t.config_id], run.get_origin(t.config_id), t.budget, t.costs,
         float(t.start_time), float(t.end_time), t.status.name]
        for t in run.history
    ],
    "incumbent": [dict(best), cost],
    "trajectory": run.get_trajectory(error, 9),
    "stock_trajectory": super(SearchRun, run).get_trajectory(error, 9),
    "same_encoding": all(
        list(row) == sample.encode_config(run.configs[t.config_id]) for row, t in zip(sample._rows, trials)
    ),
    "choices": {name: list(map(str, hp.choices)) for name, hp in run.configspace.items()},
}, default=str))
"""

STOCK = """
import json, sys
from deepcave.runs.converters.smac3v2 import SMAC3v2Run
assert SMAC3v2Run.is_valid_run(sys.argv[1])
run = SMAC3v2Run.from_path(sys.argv[1])
print(json.dumps({
    "name": run.name,
    "objectives": run.get_objective_names(),
    "history": [[t.additional["trial"], run.configs[t.config_id], run.get_origin(t.config_id),
                 t.budget, t.costs, t.status.name] for t in run.history],
}, default=float))
"""


def in_deepcave(code: str, *args: Path) -> Any:
    """Runs a snippet in DeepCAVE's environment; its last line is JSON."""
    done = subprocess.run(
        [environment.ensure(), "-c", code, *args],
        env=environment.variables(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def run(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    copy = tmp_path_factory.mktemp("runs") / "my.run"
    shutil.copytree(finished_run, copy)
    return Run.open(copy)


@pytest.fixture(scope="module")
def state(run: Run) -> SearchState:
    return SearchState.of(run.read_journal().events)


@pytest.fixture(scope="module")
def seen(run: Run) -> dict[str, Any]:
    Exporter(run).refresh()
    return in_deepcave(DUMP, run.path)


def test_the_run_has_its_name_optimizer_and_objectives(seen: dict[str, Any]) -> None:
    assert seen["name"] == "my.run"
    assert seen["optimizer"] == "smac"
    assert seen["valid"]
    assert dict(seen["objectives"]) == {
        "error": "lower",
        "top-1": "upper",
        "loss": "lower",
        "seconds": "lower",
        "params": "lower",
        "MACs": "lower",
    }


def test_budgets_are_epochs_and_never_combined(seen: dict[str, Any]) -> None:
    assert seen["budgets"] == [1, 3, 9]
    assert seen["highest"] == 9


def test_every_trial_crosses_over_whole(seen: dict[str, Any], state: SearchState) -> None:
    trained = [trial for trial in state.trials.values() if trial.finished and not trial.cached]
    assert {trial.status for trial in trained} == {"success", "crashed"}
    assert len(seen["history"]) == len(trained)
    for trial, found in zip(trained, seen["history"], strict=True):
        additional, config, _, budget, costs, start, end, status = found
        assert additional["trial"] == trial.trial
        assert additional["started"] == trial.started
        assert config == trial.config
        assert budget == trial.epochs
        assert (start, end) == pytest.approx((trial.clock_started, trial.clock_ended), abs=0.01)
        if trial.status == "success":
            m = trial.metrics
            assert status == "SUCCESS"
            expected = [trial.error, m["top1"], m["val_loss"], trial.seconds, m["params"], m["macs"]]
            assert costs == expected
        else:
            assert status == "CRASHED"
            assert costs == [None] * 6
            assert additional["traceback"] == trial.reason


def test_origins_are_those_of_the_first_proposal(seen: dict[str, Any], state: SearchState) -> None:
    first: dict[str, str] = {}
    for trial in state.trials.values():
        first.setdefault(trial.config_id, trial.origin)
    by_number = {trial.trial: trial.config_id for trial in state.trials.values()}
    for additional, _, origin, *_ in seen["history"]:
        assert origin == first[by_number[additional["trial"]]]


def test_the_incumbent_is_the_search_s_own(seen: dict[str, Any], state: SearchState) -> None:
    best = state.trials[state.incumbent or 0]
    assert seen["incumbent"][1] == best.error
    assert {k: str(v) for k, v in seen["incumbent"][0].items()} == {k: str(v) for k, v in best.config.items()}


def test_the_quick_trajectory_is_the_stock_one(seen: dict[str, Any]) -> None:
    assert len(seen["trajectory"][0]) >= 2
    assert seen["trajectory"] == seen["stock_trajectory"]


def test_the_quick_encoding_is_the_stock_one(seen: dict[str, Any]) -> None:
    assert seen["same_encoding"]


def test_ordinals_are_categoricals_with_all_choices(seen: dict[str, Any]) -> None:
    assert seen["choices"]["kernel_mid"] == ["3", "5", "7", "9"]


def test_reasons_become_deepcave_s_statuses(finished_run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(finished_run, copy)
    state = SearchState.of(Run.open(copy).read_journal().events)
    from analysis.deepcave.exporter import snapshot

    def statuses() -> list[str]:
        shown = {trial["trial"]: trial["status"] for trial in snapshot(Run.open(copy), state)["trials"]}
        return [shown[number] for number in state.crashed[:2]]

    assert statuses() == ["crashed", "crashed"]
    for number, reason in zip(
        state.crashed[:2],
        ["CUDA out of memory. Tried to allocate 2.00 GiB", "no end after 20m (--trial-timeout)"],
        strict=True,
    ):
        state.trials[number].reason = reason
    assert statuses() == ["memoryout", "timeout"]


def test_a_growing_run_is_exported_whole_each_time(simulate: Any) -> None:
    simulation = simulate("grows", trials=8)
    simulation.run()
    run = Run.open(simulation.path)
    exporter = Exporter(run)
    assert exporter.refresh()
    before = os.stat(export_path(run)).st_ino
    first = json.loads(export_path(run).read_bytes())
    assert not exporter.refresh()
    assert os.stat(export_path(run)).st_ino == before

    simulation.trials = 14
    simulation.run()
    assert exporter.refresh()
    assert os.stat(export_path(run)).st_ino != before, "a reader may hold the old file"
    second = json.loads(export_path(run).read_bytes())
    assert len(first["trials"]) == 8
    assert len(second["trials"]) == 14
    assert second["trials"][:8] == first["trials"]
    assert second == json.loads(json.dumps(_fresh(run)))
    assert [path.name for path in export_path(run).parent.iterdir()] == ["history.json"]


def _fresh(run: Run) -> dict[str, Any]:
    from analysis.deepcave.exporter import snapshot

    return snapshot(run, SearchState.of(run.read_journal().events))


def test_answers_from_the_record_are_left_out(run: Run, state: SearchState) -> None:
    from analysis.deepcave.exporter import snapshot

    number = next(trial.trial for trial in state.trials.values() if trial.status == "success")
    state.trials[number].cached = True
    try:
        exported = {trial["trial"] for trial in snapshot(run, state)["trials"]}
    finally:
        state.trials[number].cached = False
    assert number not in exported


def test_a_folder_that_cannot_be_written_is_one_line(finished_run: Path, tmp_path: Path) -> None:
    copy = tmp_path / "run"
    shutil.copytree(finished_run, copy)
    (copy / "deepcave").write_text("in the way")
    with pytest.raises(UserError, match=r"history\.json: not writable"):
        Exporter(Run.open(copy)).refresh()


def test_stock_deepcave_opens_the_smac_layout(run: Run, state: SearchState, tmp_path: Path) -> None:
    out = tmp_path / "exported"
    assert export([str(run.path), "--format", "smac", "-o", str(out)]) == 0
    seen = in_deepcave(STOCK, out)
    trained = {trial.trial: trial for trial in state.trials.values() if trial.finished and not trial.cached}
    assert seen["name"] == "exported"
    assert seen["objectives"][0] == "error"
    assert len(seen["history"]) == len(trained)
    for number, config, _, budget, costs, status in seen["history"]:
        trial = trained[number]
        assert config == trial.config
        assert budget == trial.epochs
        assert status == ("SUCCESS" if trial.status == "success" else "CRASHED")
        if trial.status == "success":
            assert math.isclose(costs[0], trial.error or 0.0)
        else:
            assert costs[0] is None
