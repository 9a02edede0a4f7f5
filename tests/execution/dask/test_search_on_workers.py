"""Whole searches on several workers, as a user starts them: killed, resumed, on a real batch system."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from nas.run import journal
from nas.run.state import SearchState

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SMALL = [
    *("--dataset", "digits", "--image-size", "8", "--max-images", "200", "--width", "16", "--threads", "1"),
    *("--min-epochs", "1", "--max-epochs", "4", "--eta", "2", "--budget", "1h"),
]


def start(folder: Path, *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "nas.search", *args],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def events_of(run: Path) -> list[dict[str, object]]:
    return journal.read(run / "trials.jsonl").events if run.exists() else []


def wait_for_trials(run: Path, count: int) -> None:
    deadline = time.monotonic() + 250
    while sum(event.kind == "ended" for event in events_of(run)) < count:
        assert time.monotonic() < deadline
        time.sleep(0.2)


def check(run: Path, trials: int) -> None:
    events = events_of(run)
    ended = [event.trial for event in events if event.kind == "ended"]
    assert len(ended) == len(set(ended))
    state = SearchState.of(events)
    assert state.finished == trials
    assert not state.crashed
    assert {"event", "trial", "epoch", "metrics", "time", "clock", "v"} in [set(event) for event in events]


def test_a_search_on_workers_is_killed_interrupted_and_resumed(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "many"
    # More trials than there is time for: however slow this machine is, it stops the search amid them.
    first = start(tmp_path, *SMALL, "--trials", "500", "--workers", "2", "--name", "many")
    wait_for_trials(run, 3)
    family = psutil.Process(first.pid).children(recursive=True)
    first.kill()
    first.communicate()
    _, alive = psutil.wait_procs(family, timeout=60)
    assert not alive  # no worker and no trial outlives the search

    second = start(tmp_path, "--resume", str(run))
    wait_for_trials(run, 7)
    os.killpg(second.pid, signal.SIGINT)  # as Ctrl-C in a terminal: workers get it too
    _, said = second.communicate(timeout=120)
    assert second.returncode == 130
    assert said == ""
    begun, closed = (
        {event.trial for event in events_of(run) if event.kind in kinds}
        for kinds in (("started",), ("ended", "paused"))
    )
    assert begun <= closed  # what ran ended, or was stopped with a checkpoint
    assert "died" not in (run / "search.log").read_text()

    trials = SearchState.of(events_of(run)).finished + 4
    third = start(tmp_path, "--resume", str(run), "--trials", str(trials))
    _, said = third.communicate(timeout=250)
    assert (third.returncode, said) == (0, "")
    check(run, trials)
    assert list(tmp_path.glob("**/.*.seen")) == []


@pytest.mark.skipif(shutil.which("sbatch") is None, reason="needs a SLURM installation (see docs/scaling.md)")
def test_a_search_in_jobs_of_slurm_survives_the_end_of_one(tmp_path: Path) -> None:
    (tmp_path / "site.yaml").write_text(
        "system: slurm\nworkers: 2\njob: {cores: 1, memory: 2GB, job_name: smacnas-test}\n"
        "scheduler: {host: 127.0.0.1}\n"
    )
    run = tmp_path / "runs" / "batch"
    search = start(tmp_path, *SMALL, "--trials", "12", "--cluster", "site.yaml", "--name", "batch")
    wait_for_trials(run, 2)
    listed = subprocess.run(
        ["squeue", "-h", "-n", "smacnas-test", "-o", "%i"], capture_output=True, text=True
    )
    subprocess.run(["scancel", listed.stdout.split()[0]], check=True)
    _, said = search.communicate(timeout=250)
    assert (search.returncode, said) == (0, "")
    check(run, 12)
    left = subprocess.run(["squeue", "-h", "-n", "smacnas-test"], capture_output=True, text=True)
    assert left.stdout == ""
