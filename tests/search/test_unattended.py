"""One command to the end: a real search, its confirmation, report and export; killed and told to stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest

pytestmark = pytest.mark.acceptance  # a whole search and four programs, some of them twice

ROOT = Path(__file__).parents[2]
SMALL = [
    *("--dataset", "digits", "--image-size", "8", "--max-images", "200", "--width", "16", "--threads", "1"),
    *("--min-epochs", "1", "--max-epochs", "2", "--eta", "2", "--optimizer", "random", "--trials", "4"),
]
TELL = 'echo "$SMACNAS_EVENT: $SMACNAS_MESSAGE" >> told'


def start(folder: Path, *args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "nas.search", *args, "--notify", TELL],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(path: Path, mark: bytes, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 200
    while not path.exists() or mark not in path.read_bytes():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def ended(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=280)
    return process.returncode, out, err


def test_killed_and_stopped_in_what_follows_one_resume_after_another_ends_it(tmp_path: Path) -> None:
    run = tmp_path / "runs" / "one"
    process = start(tmp_path, *SMALL, "--name", "one", "--then", "confirm:2", "report", "export:reduced")
    wait_for(run / "confirm.jsonl", b'"event":"epoch"', process)
    process.kill()
    process.communicate()
    searched = (run / "trials.jsonl").read_bytes()

    resumed = start(tmp_path, "--resume", "runs/one")
    # The killed one's confirmation has ended with it, or this would be refused.
    wait_for(run / "confirm.jsonl", b'"event":"ended"', resumed)
    resumed.send_signal(signal.SIGTERM)
    code, out, _ = ended(resumed)
    if code != 0:  # it may have come to the end before the signal did
        assert code == 143
        assert "terminated; resumed, the search goes on with what is left" in out
        assert not (tmp_path / "models").exists()

    code, out, err = ended(start(tmp_path, "--resume", "runs/one"))
    assert (code, "Traceback" in err) == (0, False), err
    assert (run / "trials.jsonl").read_bytes() == searched
    found = orjson.loads((run / "confirmed.json").read_bytes())
    assert found["complete"]
    assert found["seeds"] == 2
    last = out.splitlines()[-3:]
    assert [line.partition(": ")[0] for line in last] == ["confirm:2", "report", "export:reduced"]
    assert "%" in last[0]
    assert (tmp_path / last[1].partition(": ")[2]).is_file()
    assert (tmp_path / last[2].partition(": ")[2] / "model.safetensors").is_file()
    told = (tmp_path / "told").read_text().splitlines()
    assert told[-1].startswith("end: the number of trials is reached, 4 trials in ")
    assert told[-1].endswith("; ".join(last))

    before = (tmp_path / "models").stat().st_mtime_ns
    code, out, _ = ended(start(tmp_path, "--resume", "runs/one"))  # there is nothing left to do
    assert (code, out.splitlines()[-3:]) == (0, last)
    assert (tmp_path / "models").stat().st_mtime_ns == before


def test_what_fails_is_said_and_the_rest_is_done(tmp_path: Path) -> None:
    """One trial is the base architecture's: there is nothing to confirm."""
    flags = [*SMALL[:-1], "1", "--name", "one", "--max-epochs", "1", "--min-epochs", "1"]
    code, out, err = ended(start(tmp_path, *flags, "--then", "confirm", "export:reduced"))
    assert code == 3, err
    last = out.splitlines()[-2:]
    assert last[0].startswith("confirm: failed (exit code 2): runs/one: nothing to confirm")
    assert last[1] == "export:reduced: models/one"
    assert (tmp_path / "models" / "one" / "config.json").is_file()
