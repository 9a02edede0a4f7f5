"""A real search with a tracker, killed with SIGKILL, resumed, confirmed, reported and exported."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nas.run.folder import Run
from tests import warm_programs
from tests.tracking import readers
from tests.tracking.readers import differences, expected
from tests.tracking.test_mirror import nearly

ROOT = Path(__file__).parents[2]
SMALL = [
    *("--dataset", "digits", "--image-size", "8", "--max-images", "200", "--width", "16", "--threads", "1"),
    *("--min-epochs", "1", "--max-epochs", "2", "--eta", "2", "--optimizer", "random", "--trials", "5"),
]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def start(folder: Path, *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "nas.search", *args],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.acceptance
def test_killed_and_resumed_to_the_end_everything_is_there_once(tmp_path: Path) -> None:
    run = Run(tmp_path / "runs" / "one")
    steps = ("--then", "confirm:1", "report", "export:reduced")
    process = start(tmp_path, *SMALL, "--name", "one", "--log", "tensorboard", *steps)
    deadline = time.monotonic() + 200
    while not run.journal.exists() or run.journal.read_bytes().count(b'"event":"ended"') < 3:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.kill()
    process.communicate()

    resumed = warm_programs.run(["nas.search", "--resume", "runs/one"], tmp_path, ENVIRONMENT, timeout=280)
    assert resumed.returncode == 0, resumed.stderr
    assert "log: TensorBoard, in runs/one/tensorboard; look at it with: " in resumed.stdout
    found = readers.tensorboard(run)
    assert differences(found, expected(run), nearly) == []
    assert found["search"].state == "trials"
    assert {key.partition("-")[0] for key in found} == {"search", "trial", "confirmation"}
    (events,) = (run.path / "tensorboard" / "search").iterdir()
    assert b"models/one" in events.read_bytes()
    assert b"report.html" in events.read_bytes()
