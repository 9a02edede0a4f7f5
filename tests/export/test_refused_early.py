"""What is wrong with a folder or a run is said at once: PyTorch, which takes seconds to load, is not."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WATCHED = """
import runpy, sys
sys.argv[:] = sys.argv[1:]
try:
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
finally:
    print("torch" in sys.modules)
"""
CODE = {"file": "own.py", "class": "Own", "sha256": "0" * 64}


def said(line: str, folder: Path) -> str:
    """What a command says that is refused, without torch."""
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, *shlex.split(line)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "False\n"), done.stderr
    return done.stderr


@pytest.mark.parametrize(
    "line",
    [
        "nas.evaluate theirs --data digits",
        "nas.evaluate theirs other --data digits",
        "nas.profile theirs",
        "nas.profile theirs --stages",
        "nas.train theirs --data digits -o out",
        "nas.export theirs -o out",
    ],
)
def test_code_that_was_not_named(line: str, tmp_path: Path) -> None:
    for name in ("theirs", "other"):
        (tmp_path / name).mkdir()
        config = {"architecture": "own", "model_args": {"code": CODE}}
        (tmp_path / name / "config.json").write_text(json.dumps(config))
    assert "to have it run say --space theirs/own.py" in said(line, tmp_path)


@pytest.fixture(scope="module")
def run(simulation: type, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("searched") / "run"
    simulation(folder, optimizer="random", trials=6).run()
    return folder


@pytest.mark.parametrize(
    ("flags", "wrong"),
    [
        ("--geometry t --trial 9999", "--trial 9999"),
        ("--geometry small", "--geometry small"),
        ("--geometry t --space resnet", "searched the space nexception"),
    ],
)
def test_what_a_run_does_not_have(flags: str, wrong: str, run: Path) -> None:
    assert wrong in said(f"nas.export {run.name} {flags} -o out", run.parent)
