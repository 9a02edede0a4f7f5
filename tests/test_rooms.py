"""Imports point one way: the contracts are in pyproject.toml."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LINT = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c(['--no-cache'])"]

# A file, an import that does not belong there, and the contract that says so.
WRONG = [
    ("nas/util/files.py", "from nas.run import journal", "Imports point one way"),
    ("nas/run/state.py", "from nas.execution import messages", "Imports point one way"),
    ("nas/view/lines.py", "from nas.search import plan", "Imports point one way"),
    ("analysis/frames.py", "from analysis.figures import style", "Analysis builds on a run's frames"),
    ("analysis/pareto.py", "from nas.trial import settings", "Analysis reads runs, it runs nothing"),
    ("nas/search/loop.py", "from nas.execution.dask import connection", "Dask is one of the places"),
    ("nas/search/loop.py", "from nas.optimizers.smac import forest", "SMAC is one of the optimisers"),
    ("nas/confirm/loop.py", "from search_spaces.nexception import space", "No space is known by name"),
    ("nas/run/schema.py", "from nas.run import folder", "No circles"),
]


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(LINT, cwd=folder, capture_output=True, text=True, check=False)


def test_imports_keep_the_contracts() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_an_import_that_points_up_is_found(tmp_path: Path) -> None:
    for room in ("nas", "search_spaces", "analysis"):
        shutil.copytree(ROOT / room, tmp_path / room, ignore=shutil.ignore_patterns(".venv", "__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for path, line, _ in WRONG:
        with (tmp_path / path).open("a") as file:
            file.write(f"\n{line}\n")
    done = lint(tmp_path)
    assert done.returncode == 1, done.stderr
    for path, line, contract in WRONG:
        assert f"{contract} BROKEN" in done.stdout
        importer = path.removesuffix(".py").replace("/", ".")
        imported = line.removeprefix("from ").replace(" import ", ".")
        assert f"{importer} -> {imported}" in done.stdout or contract == "No circles"
