"""The confirmation as a user starts it: real training, a real kill."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import orjson
import pytest

from nas.confirm import __main__ as confirm
from nas.search import __main__ as search

SMALL = [
    *("--dataset", "digits", "--image-size", "8", "--max-images", "100", "--width", "16", "--threads", "1"),
    *("--min-epochs", "1", "--max-epochs", "2", "--eta", "2", "--optimizer", "random", "--trials", "4"),
]


def python(*args: str) -> list[str]:
    return [sys.executable, "-m", *args]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory, trials_here: None) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    assert search.main([*SMALL, "--runs-dir", str(folder), "--name", "searched", "--quiet"]) == 0
    return folder / "searched"


def figures(run: Path) -> list[Any]:
    found = orjson.loads((run / "confirmed.json").read_bytes())
    return [(row["config_id"], row["errors"], row["params"]) for row in found["configurations"]]


def test_killed_in_a_training_it_ends_as_the_unkilled(
    searched: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unkilled = shutil.copytree(searched, tmp_path / "unkilled")
    killed = shutil.copytree(searched, tmp_path / "killed")
    flags = ["--top", "1", "--seeds", "2"]
    process = subprocess.Popen(python("nas.confirm", str(killed), *flags, "--quiet"))
    deadline = time.monotonic() + 240
    while b'"event":"epoch"' not in (data := _read(killed / "confirm.jsonl")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.02)
    process.kill()
    process.wait()
    assert data.count(b'"event":"ended"') < 4

    assert confirm.main([str(unkilled), *flags]) == 0
    said = capsys.readouterr().out
    assert "2 fresh seeds" in said
    assert f"python -m nas.export {unkilled}" in said
    assert confirm.main([str(killed), *flags, "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    assert figures(killed) == figures(unkilled)
    errors = [errors for _, errors, _ in figures(killed)]
    assert all(error is not None for own in errors for error in own)
    assert not (killed / "checkpoints" / "confirm").exists()
    assert "confirmation stops: done" in (killed / "search.log").read_text()


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from nas.confirm import __main__ as confirm\n"
        "try:\n    confirm.main(['--help'])\n"
        "except SystemExit: pass\n"
        "print('HEAVY', {'torch', 'smac', 'numpy', 'pandas', 'scipy', 'ConfigSpace'} & set(sys.modules))\n"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "HEAVY set()" in run.stdout
