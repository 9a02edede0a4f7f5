"""The search as a user starts it: a real process, real training, real signals."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from nas.run import journal
from nas.run.state import SearchState
from nas.search import __main__ as command
from nas.status.watcher import Watcher
from tests.complaints import complaints

# Real networks on real images, as small as they come.
SMALL = [
    *("--dataset", "digits", "--image-size", "8", "--max-images", "200", "--width", "16", "--threads", "1"),
    *("--min-epochs", "1", "--max-epochs", "4", "--eta", "2", "--trials", "9", "--budget", "1h"),
]


def start(*args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "nas.search", *args],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def search(*args: str) -> str:
    process = start(*args)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert complaints(err) == []
    return out


def status(run: Path) -> dict[str, Any]:
    return orjson.loads(orjson.dumps(Watcher(run).look().to_json()))


def state_of(run: Path) -> SearchState:
    return SearchState.of(journal.read(run / "trials.jsonl").events)


def ledger(run: Path) -> list[tuple[Any, ...]]:
    exact = ("val_loss", "train_loss", "top1", "top5", "params", "macs")
    return [
        (t.trial, t.config_id, t.epochs, t.origin, t.status, t.error, *(t.metrics.get(key) for key in exact))
        for t in state_of(run).trials.values()
        if t.finished
    ]


def wait_for(run: Path, events: int) -> None:
    """Waits until the journal has a number of lines."""
    deadline = time.monotonic() + 120
    path = run / "trials.jsonl"
    while time.monotonic() < deadline:
        if path.exists() and path.read_bytes().count(b"\n") >= events:
            return
        time.sleep(0.02)
    raise AssertionError(f"{path} did not grow to {events} lines")


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """An unharmed search, and what it printed."""
    folder = tmp_path_factory.mktemp("reference")
    out = search(*SMALL, "--runs-dir", str(folder), "--name", "unkilled")
    return folder / "unkilled", out


def test_a_search_finds_prints_and_records_the_winner(reference: tuple[Path, str]) -> None:
    run, out = reference
    assert "best networks (validation)" in out
    assert f"python -m nas.search --resume {run}" in out
    winner = orjson.loads((run / "incumbent.json").read_bytes())
    assert winner["epochs"] == 4
    assert winner["baseline"]["error"] >= winner["error"]
    assert state_of(run).finished == 9
    assert "trial 1" in (run / "search.log").read_text()
    for name in ("search.json", "configspace.json", "smac/runhistory.json"):
        orjson.loads((run / name).read_bytes())


def test_the_status_says_the_same_as_the_search(reference: tuple[Path, str]) -> None:
    run, _ = reference
    snapshot = status(run)
    assert snapshot["status"] == "stopped"
    assert snapshot["stop_reason"] == "trials"
    assert snapshot["finished"] == 9
    assert snapshot["incumbent"]["trial"] == orjson.loads((run / "incumbent.json").read_bytes())["trial"]


def test_killed_at_random_moments_it_resumes_to_the_same_ledger(
    reference: tuple[Path, str], tmp_path: Path, trials_here: None
) -> None:
    expected = ledger(reference[0])
    draw = random.Random(0)
    run = tmp_path / "killed"
    events = 0
    for args in ([*SMALL, "--runs-dir", str(tmp_path), "--name", "killed"], ["--resume", str(run)]):
        process = start(*args)
        events += draw.randint(4, 12)
        wait_for(run, events)
        time.sleep(draw.random() * 0.3)
        process.kill()
        process.wait()
        assert set(ledger(run)) <= set(expected)
        if len(ledger(run)) < len(expected):
            assert status(run)["status"] == "dead"
    assert command.main(["--resume", str(run), "--quiet"]) == 0
    assert ledger(run) == expected
    ends = [e.trial for e in journal.read(run / "trials.jsonl").events if e.kind == "ended"]
    assert len(ends) == len(set(ends)), "a completed trial was run again"


def test_a_second_search_is_refused_and_ctrl_c_stops_the_first_in_order(
    reference: tuple[Path, str], tmp_path: Path
) -> None:
    """Other signals, and several: tests/faults."""
    run = tmp_path / "busy"
    # Long enough to be there still when the second one has been refused.
    limits = ["--trials", "1000", "--runs-dir", str(tmp_path), "--name", "busy"]
    process = start(*SMALL, *limits)
    try:
        wait_for(run, 6)
        assert status(run)["status"] == "running"
        before = ledger(run)
        second = start("--resume", str(run))
        _, err = second.communicate(timeout=60)
        assert second.returncode == 2
        assert err.count("\n") == 1
        assert f"in use by process {process.pid}" in err
        assert set(before) <= set(ledger(run))
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
    finally:
        process.kill()
        process.communicate()
    snapshot = status(run)
    assert (snapshot["status"], snapshot["stop_reason"]) == ("stopped", "interrupted")
    expected = ledger(reference[0])
    done = ledger(run)
    assert done
    assert done[: len(expected)] == expected[: len(done)]


def test_a_finished_run_goes_on_with_more_trials(
    reference: tuple[Path, str], tmp_path: Path, trials_here: None, capfd: pytest.CaptureFixture[str]
) -> None:
    run = shutil.copytree(reference[0], tmp_path / "longer")
    before = ledger(run)
    assert command.main(["--resume", str(run), "--trials", "11", "--quiet"]) == 0
    assert capfd.readouterr().out == ""
    assert ledger(run)[: len(before)] == before
    assert state_of(run).finished == 11


def test_the_budget_is_kept(tmp_path: Path, trials_here: None) -> None:
    begun = time.monotonic()
    limits = ["--budget", "2s", "--runs-dir", str(tmp_path), "--name", "short", "--max-epochs", "64"]
    without_trials = [arg for arg in SMALL if arg not in ("--trials", "9")]
    assert command.main([*without_trials, *limits, "--quiet"]) == 0
    state = state_of(tmp_path / "short")
    assert state.stopped == "budget"
    assert state.clock < 2 + 60
    assert time.monotonic() - begun < 110


def test_help_is_grouped_and_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from nas.search import __main__ as search\n"
        "try:\n    search.main(['--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'torch', 'smac', 'sklearn', 'numpy', 'ConfigSpace', 'timm', 'scipy', 'pandas'}\n"
        "print('HEAVY', heavy & set(sys.modules))\n"
    )
    wide = {**os.environ, "COLUMNS": "150"}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=wide)
    out = run.stdout
    assert "HEAVY set()" in out
    for group in ("Budget options", "Data options", "Training options", "Device options"):
        assert group in out
    assert "(default: 72h)" in out


@pytest.mark.acceptance
def test_the_plan_trains_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    args = [*SMALL, "--plan", "--runs-dir", str(tmp_path / "runs")]
    process = subprocess.run(
        [sys.executable, "-m", "nas.search", *args], capture_output=True, text=True, timeout=200, cwd=tmp_path
    )
    assert process.returncode == 0, process.stderr
    assert "expected trials" in process.stdout
    assert not (tmp_path / "runs").exists()
    assert os.listdir(tmp_path) in ([], ["data"])
