"""What DeepCAVE's pages say of a run that is too young to tell anything, and of one that is not."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from analysis.deepcave import environment
from analysis.deepcave.exporter import Exporter
from nas.run.folder import Run
from nas.run.state import SearchState

# DeepCAVE sets itself up as an application where the program's name holds server.py.
PAGES = """
import json, sys
paths, sys.argv = sys.argv[1:], ["server.py"]
from cave.converter import SearchRun
from cave.pages import BudgetCorrelations, CostOverTime
for path in paths:
    run = SearchRun.from_path(path)
    error = {"objective_id": run.get_objective_ids()[0]}
    found = BudgetCorrelations.process(run, error)
    text = BudgetCorrelations.load_outputs(run, error, found)[0]
    titles = {}
    for number in run.get_budget_ids(include_combined=False):
        inputs = {**error, "budget_id": number, "xaxis": "times", "show_runs": True, "show_groups": True}
        outputs = {run.id: CostOverTime.process(run, inputs)}
        title = CostOverTime.load_outputs([run], inputs, outputs).layout.title.text
        titles[run.get_budget(number, human=True)] = title or ""
    said = {"correlation": text, "table": found["correlations_symmetric"], "cost": titles}
    print("SAID", json.dumps(said))
"""


def successes(run: Path) -> dict[int, int]:
    counts = {1: 0, 3: 0, 9: 0}
    for trial in SearchState.of(Run.open(run).read_journal().events).trials.values():
        counts[trial.epochs] += trial.status == "success" and not trial.cached
    return counts


@pytest.fixture(scope="module")
def young(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run when seven trials had ended, three of them the default's."""
    run = tmp_path_factory.mktemp("runs") / "young"
    shutil.copytree(finished_run, run)
    journal = run / "trials.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    ended = [number for number, line in enumerate(lines) if json.loads(line)["event"] == "ended"]
    journal.write_bytes(b"".join(lines[: ended[6] + 1]))
    return run


@pytest.fixture(scope="module")
def seen(young: Path, finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What the pages say of the young run and of the whole one, from one start of DeepCAVE's environment."""
    old = shutil.copytree(finished_run, tmp_path_factory.mktemp("runs") / "old")
    for run in (young, old):
        Exporter(Run.open(run)).refresh()
    done = subprocess.run(
        [environment.ensure(), "-c", PAGES, young, old],
        env=environment.variables(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = [line.removeprefix("SAID ") for line in done.stdout.splitlines() if line.startswith("SAID ")]
    return [json.loads(line) for line in said]


@pytest.fixture(scope="module")
def of_the_young(seen: list[dict[str, Any]]) -> dict[str, Any]:
    return seen[0]


@pytest.fixture(scope="module")
def of_the_old(seen: list[dict[str, Any]]) -> dict[str, Any]:
    return seen[1]


def test_budget_correlation_of_few_configurations_is_none(of_the_young: dict[str, Any]) -> None:
    text = of_the_young["correlation"]
    assert text.startswith("Too few configurations trained for both ")
    for pair in ("1 and 3", "1 and 9", "3 and 9"):
        assert f"{pair} epochs (" in text
    assert "strong" not in text
    table = of_the_young["table"]
    assert [table[a][b] for a, b in (("1", "3"), ("3", "9"), ("9", "1"))] == ["too few"] * 3


def test_budget_correlation_of_many_is_told(of_the_old: dict[str, Any]) -> None:
    assert isinstance(of_the_old["table"]["1"]["3"], float)
    assert "1 and 3 epochs (" not in of_the_old["correlation"]
    assert "correlation" in of_the_old["correlation"]


def test_cost_over_time_of_few_trials_says_so(young: Path, of_the_young: dict[str, Any]) -> None:
    for epochs, count in successes(young).items():
        trials = "1 trial" if count == 1 else f"{count} trials"
        noun = "epoch" if epochs == 1 else "epochs"
        assert of_the_young["cost"][str(epochs)] == f"young: {trials} of {epochs} {noun}, too few to tell"


def test_cost_over_time_of_many_says_nothing(finished_run: Path, of_the_old: dict[str, Any]) -> None:
    enough = [epochs for epochs, count in successes(finished_run).items() if count >= 10]
    assert enough
    for epochs in enough:
        assert of_the_old["cost"][str(epochs)] == ""
