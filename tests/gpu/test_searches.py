"""Whole searches: equal seeds, killed and resumed, two trials at once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from nas.run import journal
from nas.run.state import SearchState

SMALL = (
    *("--dataset", "digits", "--image-size", "16", "--max-images", "200", "--width", "16", "--threads", "1"),
    *("--min-epochs", "1", "--max-epochs", "2", "--eta", "2", "--trials", "5", "--budget", "1h", "--quiet"),
)

ONE = ("--trials-per-gpu", "1")  # which trial is asked for next depends on nothing but the seed


def state_of(run: Path) -> SearchState:
    return SearchState.of(journal.read(run / "trials.jsonl").events)


def ledger(run: Path) -> list[tuple[Any, ...]]:
    exact = ("val_loss", "train_loss", "top1", "params", "macs")
    return [
        (t.trial, t.config_id, t.epochs, t.status, t.error, *(t.metrics.get(key) for key in exact))
        for t in state_of(run).trials.values()
        if t.finished
    ]


@pytest.fixture(scope="module")
def unkilled(
    command: Callable[..., str], command_device: str, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("searches")
    words = (*SMALL, *ONE, "--device", command_device)
    command("nas.search", *words, "--runs-dir", folder, "--name", "unkilled")
    return folder / "unkilled"


def test_every_trial_of_a_search_succeeds(unkilled: Path, read: Callable[[Path], dict[str, Any]]) -> None:
    rows = ledger(unkilled)
    assert len(rows) >= 5
    assert {row[3] for row in rows} == {"success"}
    winner = read(unkilled / "incumbent.json")
    assert winner["error"] <= winner["baseline"]["error"]
    log = (unkilled / "search.log").read_text()
    assert "no CUDA graph" not in log
    assert "plainly" not in log


def test_killed_and_resumed_it_ends_as_the_unkilled_one(
    unkilled: Path, command: Callable[..., str], command_device: str, tmp_path: Path
) -> None:
    words = (*SMALL, *ONE, "--device", command_device, "--runs-dir", str(tmp_path), "--name", "killed")
    process = subprocess.Popen([sys.executable, "-m", "nas.search", *words], env={**os.environ})
    path, deadline = tmp_path / "killed" / "trials.jsonl", time.monotonic() + 120
    while not (path.exists() and b'"event":"ended"' in path.read_bytes()):
        assert time.monotonic() < deadline, "no trial ended"
        assert process.poll() is None, "the search ended by itself"
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert 0 < len(ledger(tmp_path / "killed")) < len(ledger(unkilled))
    command("nas.search", "--resume", tmp_path / "killed", "--quiet")
    assert ledger(tmp_path / "killed") == ledger(unkilled)


def test_two_trials_at_once(command: Callable[..., str], command_device: str, tmp_path: Path) -> None:
    two = ("--trials-per-gpu", "2") if command_device.startswith("cuda") else ("--workers", "2")
    words = (*SMALL, "--device", command_device, *two)
    command("nas.search", *words, "--runs-dir", tmp_path, "--name", "two")
    trials = [trial for trial in state_of(tmp_path / "two").trials.values() if trial.finished]
    assert len(trials) >= 5
    assert {trial.status for trial in trials} == {"success"}
    spans = sorted((trial.clock_started, trial.clock_ended) for trial in trials)
    assert any(later < end for (_, end), (later, _) in pairwise(spans)), "one by one"
