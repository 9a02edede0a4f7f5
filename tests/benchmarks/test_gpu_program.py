"""The program behind ``make gpu``: what it refuses, how it ends what does not, and the page it writes."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import benchmarks.gpu
from benchmarks import gpu_page, gpu_stages
from benchmarks.gpu_stages import FULL, QUICK, Outcome, Stage
from nas.util.errors import UserError
from tests import warm_programs

PROJECT = Path(__file__).parents[2]
ENVIRONMENT = {"CUDA_VISIBLE_DEVICES": "-1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROJECT)}


def gpu(*words: object, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", *map(str, words)],
        cwd=PROJECT,
        env={**os.environ, **ENVIRONMENT},
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def test_without_a_gpu_it_is_one_line_and_code_2() -> None:
    before = (PROJECT / "docs" / "performance.md").read_bytes()
    done = gpu()
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        "python -m benchmarks.gpu: --device cuda:0: needs a GPU, and this machine has none that torch sees; "
        "nothing was run\n"
    )
    assert (PROJECT / "docs" / "performance.md").read_bytes() == before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--device", "cpu"], "--device cpu: needs --quick"),
        (["--device", "cpu", "--quick"], r"--docs docs/performance.md: with --quick it must be a copy"),
        (["--minutes", "0"], "--minutes 0: must be above 0"),
        (["--device", "tpu"], "--device tpu"),
        (["--device", "auto"], "--device auto"),
        (["--device", "cpu", "--quick", "--docs", "nowhere.md"], "--docs nowhere.md: .*No such file"),
        (["--device", "cpu", "--quick", "--docs", "Makefile"], "--docs Makefile: no <!-- cuda -->"),
    ],
)
def test_what_is_asked_wrongly_is_said(words: list[str], said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)
    with pytest.raises(UserError, match=said):
        benchmarks.gpu.main(words)


def test_every_stage_fits_into_twelve_minutes() -> None:
    for sizes in (FULL, QUICK):
        for device in ("cuda:0", "cpu"):
            found = gpu_stages.stages(device, sizes)
            assert sum(stage.seconds for stage in found) <= 720
            assert len({stage.name for stage in found}) == len(found)


def test_a_stage_that_does_not_end_is_ended_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "endless.py"
    program.write_text(
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    began = time.monotonic()
    outcome = gpu_stages.run(Stage("x", "x", ("endless",), 1.0), tmp_path / "x.json", limit=3.0)
    assert outcome.code is None
    assert time.monotonic() - began < 30
    child = Path("/proc") / outcome.printed[0]
    deadline = time.monotonic() + 5
    while child.exists() and "zombie" not in (child / "status").read_text():
        assert time.monotonic() < deadline, "the child lives on"
        time.sleep(0.05)


def test_tests_are_counted_one_by_one_alone_and_with_several_workers() -> None:
    outcome = Outcome(
        None,
        60.0,
        [
            "tests/gpu/test_a.py::test_one[cuda:0-x] PASSED      [ 10%]",
            "[gw1] [ 20%] FAILED tests/gpu/test_a.py::test_two[cuda:0] ",
            "[gw0] [ 30%] PASSED tests/gpu/test_b.py::test_three ",
            "FAILED tests/gpu/test_a.py::test_two[cuda:0] - AssertionError: no",
        ],
    )
    line = gpu_page.tests_line(outcome)
    assert line == "Tests: 2 passed, 1 failed, cut off (60 s). `tests/gpu/test_a.py::test_two[cuda:0]`"


def result(point: str, share: float) -> dict[str, object]:
    return {
        "point": point,
        "width": 512,
        "batch_size": 256,
        "best": "ours" if share else "",
        "most": 76_000.0,
        "share": share,
        "against_no_data": 3.25,
        "against_plain": math.nan,
    }


def test_what_was_not_measured_stays_an_open_row() -> None:
    nothing = [str(row) for row in gpu_page.rows({}, FULL)]
    assert len(nothing) == 12
    assert all("| not measured |" in row for row in nothing)
    found = {
        "train": {"results": [result("costliest", 0.3), result("xception", 0.0)]},
        "random": {
            "configurations": 1,
            "wanted": 64,
            "rate": 21_000.0,
            "share": 0.25,
            "against_no_data": 9.5,
            "before_median": math.nan,
            "before_max": math.nan,
        },
        "search": {"results": [{"validation": 0.034, "steps": 0.985, "idle": math.nan}]},
    }
    some = [str(row) for row in gpu_page.rows(found, FULL)]
    assert some[0].endswith("| 22,800 img/s | 3.2x | 30.0 % |")
    assert "| not measured |" in some[2]
    assert some[4].endswith("| 21,000 img/s (1 of 64) | 9.5x | 25.0 % |")
    assert some[5:7] == nothing[5:7]
    assert "| 3.4 % |" in some[7]
    assert "| 1.5 % outside steps |" in some[8]
    assert some[9:] == nothing[9:]


def test_a_stage_that_was_cut_off_says_so_in_the_page() -> None:
    train, later = gpu_stages.stages("cuda:0", FULL)[1:3]
    text = gpu_page.page({"train": (train, Outcome(None, 90.0, ["| 512 |"]))}, {}, FULL, [later])
    assert "### Training (its time was over)\n" in text
    assert "| 512 |" in text
    assert f"Not run: {later.title}." in text


def run_warm(stage: Stage, figures: Path, limit: float) -> Outcome:
    """Runs a stage as the program does, without the imports of its processes."""
    began, words = time.monotonic(), gpu_stages.typed(stage, figures, limit)
    done = warm_programs.run(words, PROJECT, os.environ, timeout=limit)
    print(done.stdout, done.stderr)
    return Outcome(done.returncode, time.monotonic() - began, done.stdout.splitlines())


@pytest.mark.acceptance
@pytest.mark.timeout(900)
def test_all_stages_run_on_a_cpu_with_tiny_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The tests and the benchmark whose loop has workers are programs of their own, as all are for a user."""
    page = tmp_path / "performance.md"
    shutil.copy(PROJECT / "docs" / "performance.md", page)
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(PROJECT)
    alone = {"tests", "loops"}
    monkeypatch.setattr(
        benchmarks.gpu,
        "run",
        lambda stage, *args: (gpu_stages.run if stage.name in alone else run_warm)(stage, *args),
    )
    words = ("--device", "cpu", "--quick", "--minutes", 14, "--docs", page, "--results", tmp_path / "figures")
    assert benchmarks.gpu.main([*map(str, words)]) == 0, capfd.readouterr()
    for stage in gpu_stages.stages("cpu", QUICK)[1:]:
        assert json.loads((tmp_path / "figures" / f"{stage.name}.json").read_text())
    half = page.read_text().partition("<!-- cuda -->")[2].partition("<!-- /cuda -->")[0]
    assert "0 failed" in half
    table = [line for line in half.splitlines() if line.startswith("| ") and line.count("|") == 7]
    assert not [row for row in table[1:12] if "img/s |" in row and row.split("|")[4] == " not measured "]
