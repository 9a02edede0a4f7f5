"""Tests of what a GPU does; without one, the same test bodies run on the CPU, so that their own faults show.

``device`` is a GPU in the tests marked ``gpu`` and the CPU in their twins; ``command_device`` likewise for
tests that start whole programs, whose twins are ``acceptance``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import warm_programs
from tests.conftest import refuse_without_gpu

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # counts only before cuBLAS is first used

_GPU = pytest.param("cuda:0", marks=pytest.mark.gpu)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where the tests marked ``gpu`` cannot run, choosing one is an error: none is passed or skipped.

    Those that a marker deselects are gone before this hook.
    """
    if any(item.get_closest_marker("gpu") for item in items):
        refuse_without_gpu()


@pytest.fixture(params=[_GPU, "cpu"], scope="session")
def device(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[_GPU, pytest.param("cpu", marks=pytest.mark.acceptance)], scope="session")
def command_device(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(autouse=True)
def _one_thread(one_thread: None) -> None:
    """Limits the CPU twins to one thread."""


@pytest.fixture(scope="session")
def command(command_device: str) -> Callable[..., str]:
    """Runs ``python -m MODULE ...`` to its end; returns what it printed. CUDA bears no fork."""

    def run(module: str, *words: object) -> str:
        said, environment = [module, *map(str, words)], {**os.environ, "OMP_NUM_THREADS": "1"}
        if command_device == "cpu":
            done = warm_programs.run(said, Path.cwd(), environment, timeout=280)
        else:
            done = subprocess.run(
                [sys.executable, "-m", *said], capture_output=True, text=True, timeout=280, env=environment
            )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def read() -> Callable[[Path], dict[str, Any]]:
    return lambda path: json.loads(path.read_text())
