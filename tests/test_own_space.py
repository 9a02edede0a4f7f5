"""A space of a user's own as a user has it: a file beside them, searched, resumed, planned, confirmed."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from nas.run import journal
from nas.run.commands import RunCommands
from nas.run.folder import Run
from nas.run.state import SearchState
from nas.search import __main__ as search
from nas.util.errors import UserError

MIXED = Path(__file__).parent / "search_spaces" / "mixed_space.py"
ROOT = Path(__file__).parents[1]
SMALL = [
    *("--dataset", "digits", "--image-size", "8", "--max-images", "200", "--threads", "1", "--device", "cpu"),
    *("--min-epochs", "1", "--max-epochs", "2", "--eta", "2", "--budget", "1h", "--initial-configs", "4"),
]
FAILING = """
from search_spaces.base import Float, Hyperparameter, SearchSpace


class Fails(SearchSpace):
    hyperparameters = (
        Hyperparameter("kernel", (1, 3, 5), 3, ordinal=True),
        Float("lr", 0.001, 0.1, 0.01, log=True),
    )
    training = ("lr",)

    def build(self, config, num_classes, in_chans):
        from torch import nn

        classes = num_classes + (config["kernel"] == 1)
        assert config["kernel"] < 5, "no kernel of 5"
        conv = nn.Conv2d(in_chans, 4, config["kernel"], padding="same")
        return nn.Sequential(conv, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes))
"""


def program(*args: str, cwd: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *args], cwd=cwd, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def typed(
    trials_here: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """As ``program``, but in this process, which has imported torch."""

    def call(module: str, *args: str, cwd: Path) -> str:
        monkeypatch.chdir(cwd)
        capsys.readouterr()
        assert import_module(f"{module}.__main__").main(list(args)) == 0
        return capsys.readouterr().out

    return call


def state_of(run: Path) -> SearchState:
    return SearchState.of(journal.read(run / "trials.jsonl").events)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory, trials_here: None) -> Path:
    """A user's folder with a space in it and a search that was begun there."""
    folder = tmp_path_factory.mktemp("user")
    shutil.copy(MIXED, folder / "my_space.py")
    flags = ["--space", "my_space.py", "--name", "mine", "--trials", "6"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert search.main([*SMALL, *flags, "--quiet"]) == 0
    return folder


def test_a_space_of_ones_own_is_searched_and_resumed_from_elsewhere(
    here: Path, tmp_path: Path, typed: Callable[..., str]
) -> None:
    run = here / "runs" / "mine"
    before = state_of(run)
    assert all(trial.status == "success" for trial in before.trials.values()), before
    written = json.loads((run / "search.json").read_text())
    assert written["settings"]["space"]["space"] == str(here / "my_space.py")
    assert written["space"]["size"] is None
    with pytest.raises(UserError, match=f"say --space {here / 'my_space.py'}"):
        typed("nas.search", "--resume", str(run), "--trials", "8", cwd=tmp_path)
    # The command that the program prints, as printed, from another folder.
    printed = RunCommands.of(run, Run.open(run).read_search()).resume("trials")
    assert printed is not None
    with (here / "my_space.py").open("a") as file:
        file.write("# as it was, but for this\n")
    program(*shlex.split(printed)[2:], cwd=tmp_path)
    assert "my_space.py is not what it was" in (run / "search.log").read_text()
    after = state_of(run)
    assert len([trial for trial in after.trials.values() if trial.finished]) >= 12
    assert list(after.trials)[: len(before.trials)] == list(before.trials)


def test_what_follows_a_search_takes_the_space_too(here: Path, typed: Callable[..., str]) -> None:
    flags = ["--space", "my_space.py", "--top", "1", "--seeds", "1"]
    typed("nas.confirm", "runs/mine", *flags, cwd=here)
    confirmed = json.loads((here / "runs" / "mine" / "confirmed.json").read_text())
    assert confirmed["winner"]
    assert "mixed on digits, cpu" in typed("nas.status", "runs/mine", cwd=here), "and no width"
    typed("analysis.report", "runs/mine", cwd=here)
    assert (here / "runs" / "mine" / "analysis" / "report.html").exists()


def test_a_plan_finds_the_ends_of_cost_itself(here: Path, typed: Callable[..., str]) -> None:
    text = (here / "my_space.py").read_text()
    slow = text.replace("from torch import nn\n", "import time; from torch import nn; time.sleep(0.05)\n")
    assert slow != text
    (here / "slow_space.py").write_text(slow)
    out = typed("nas.search", *SMALL, "--space", "slow_space.py", "--plan", cwd=here)
    assert "costliest" in out
    assert "dearest" not in out
    # Looking for it, which takes 64 networks, is no part of what the cheapest takes to build.
    ((build, unit),) = re.findall(r"cheapest +\S+ +\S+ +([0-9.]+)(ms|s)", out)
    assert 0.05 <= float(build) / (1000 if unit == "ms" else 1) < 2


def test_a_builder_that_fails_is_a_crash_and_the_recipe_is_the_spaces(
    tmp_path: Path, typed: Callable[..., str]
) -> None:
    (tmp_path / "fails.py").write_text(FAILING)
    flags = ["--space", "fails.py", "--name", "fails", "--trials", "12", "--random-probability", "1"]
    typed("nas.search", *SMALL, *flags, cwd=tmp_path)
    trials: list[Any] = [t for t in state_of(tmp_path / "runs" / "fails").trials.values() if t.finished]
    reasons = {trial.config["kernel"]: trial.reason for trial in trials}
    assert "the network gives shape (1, 11) for one image; must give (1, 10)" in reasons[1]
    assert reasons[3] == ""
    assert "no kernel of 5" in reasons[5]
    epochs = [(trial, metrics) for trial in trials for metrics in trial.curve.values()]
    assert epochs
    for trial, metrics in epochs:
        assert metrics["lr"] <= trial.config["lr"] * 1.0001
    rates = {trial.config["lr"] for trial in trials if trial.status == "success"}
    assert len(rates) > 1
    with pytest.raises(UserError, match="--lr: the search chooses it"):
        typed("nas.search", *SMALL, "--space", "fails.py", "--lr", "0.1", cwd=tmp_path)


def test_trials_at_a_time_load_the_file_too(here: Path) -> None:
    flags = ["--space", "my_space.py", "--name", "two", "--trials", "4", "--workers", "2"]
    program("nas.search", *SMALL, *flags, cwd=here)
    # One that was asked ahead may still wait when the last one ends.
    ended = [trial for trial in state_of(here / "runs" / "two").trials.values() if trial.finished]
    assert len(ended) >= 4
    assert [trial.reason for trial in ended if trial.status != "success"] == []


def test_a_wrong_file_is_one_line_with_a_hint(here: Path, typed: Callable[..., str]) -> None:
    with pytest.raises(UserError, match=f"no such file; did you mean {here / 'my_space.py'}"):
        typed("nas.search", *SMALL, "--space", "my_spcae.py", cwd=here)
