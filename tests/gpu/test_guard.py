"""Without a GPU its tests neither pass nor are they skipped."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]


def pytest_on(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--color=no", *words],
        cwd=PROJECT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "-1", "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=200,
    )


@pytest.mark.parametrize("words", [(), ("-n", "1")], ids=["alone", "with-workers"])
def test_asked_for_without_a_gpu_they_are_an_error_in_one_line(words: tuple[str, ...]) -> None:
    done = pytest_on("tests/gpu/test_training.py", "-q", "-m", "gpu", *words)
    assert done.returncode != 0
    assert "ERROR: the tests marked gpu need a GPU that torch sees; this machine has none" in (
        done.stdout + done.stderr
    )
    assert "Traceback" not in done.stdout + done.stderr
    assert "passed" not in done.stdout
    assert "skipped" not in done.stdout


def test_otherwise_they_are_deselected(request: pytest.FixtureRequest) -> None:
    """By what chose this very test; of a file alone there may be none to deselect, of all tests there are."""
    assert [item.nodeid for item in request.session.items if item.get_closest_marker("gpu")] == []
