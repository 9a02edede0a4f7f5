"""The page's code runs as it stands there, block after block; so do the examples. All on tiny networks."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tests.api import programs
from tests.api.programs import ROOT

PAGE = ROOT / "docs" / "python-api.md"
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
TINY = "width=16, threads=1, image_size=8, max_images=200, min_epochs=1, max_epochs=2, eta=2"


def python(*command: str, folder: Path, typed: str | None = None) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = programs.python(*command, folder=folder, typed=typed, environment=environment, timeout=280)
    assert process.returncode == 0, process.stderr
    assert "Traceback" not in process.stderr
    assert "\x1b" not in process.stdout + process.stderr
    return process.stdout


@pytest.mark.acceptance
def test_the_pages_code_runs_in_order(tmp_path: Path) -> None:
    """Typed into an interpreter, which is to Python what a notebook is."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) >= 7
    smaller = f"import functools, nas\nnas.run_search = functools.partial(nas.run_search, {TINY})\n"
    out = python("-", folder=tmp_path, typed=smaller + "\n".join(blocks))
    assert out.splitlines()[-1] == "val_fraction=2.0: must lie between 0 and 1, for example 0.1"
    runs = tmp_path / "runs"
    assert {path.name for path in runs.iterdir()} == {"first", "mine"}
    assert (runs / "first" / "analysis" / "report.html").is_file()
    assert (tmp_path / "best" / "model.safetensors").is_file()


def test_every_example_is_on_the_page_and_run_here() -> None:
    page = PAGE.read_text()
    names = {path.name for path in EXAMPLES}
    assert names == {"search_digits.py", "own_data.py", "read_a_run.py"}
    assert all(f"`{name}`" in page for name in names)


@pytest.mark.acceptance
def test_the_examples(tmp_path: Path) -> None:
    found = python(str(ROOT / "examples" / "search_digits.py"), folder=tmp_path)
    assert re.search(r"runs/digits-[\d-]+: top-1 0\.\d+", found), found
    assert re.search(r"\d+% of all", python(str(ROOT / "examples" / "own_data.py"), folder=tmp_path))
    run = next((tmp_path / "runs").glob("digits-*"))
    read = python(str(ROOT / "examples" / "read_a_run.py"), str(run), folder=tmp_path)
    assert "report.html" in read
