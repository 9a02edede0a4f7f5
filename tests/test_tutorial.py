"""The tutorial, typed from its first command to its last in an empty folder, on fewer images."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.typed_commands import ROOT, blocks, commands, few_forests, run, run_alone, without_deepcave

PAGE = ROOT / "docs" / "tutorial.md"
BEFORE = {"make setup", "source .venv/bin/activate"}  # what made the environment that runs this
ALONE = ("analysis.importance", "nas.profile")  # those of README are started by themselves there


def shorter(command: str) -> str:
    """The same with a part of the images, and limits of trials in place of minutes."""
    if "nas.search" in command and "--resume" not in command:
        command += " --image-size 8 --max-images 200 --threads 1" + (
            "" if "--plan" in command else " --trials 24"
        )
    elif "nas.search" in command:
        command += " --trials 28"
    if "nas.confirm" in command:
        command = re.sub(r"--top \d+ --seeds \d+", "--top 1 --seeds 2", command)
    if "nas.train" in command:
        command = re.sub(
            r"--epochs \d+ --batch-size \d+", "--epochs 1 --batch-size 20 --max-images 60", command
        )
    if "analysis.report" in command:  # which is typed with it by the tests of README
        command = without_deepcave(command)
    return few_forests(command.replace("--repeats 3", "--repeats 2 --warm-up 0"))


def test_it_names_every_stage() -> None:
    typed = " ".join(commands(PAGE))
    for stage in ("search", "status", "confirm", "export", "profile", "train", "evaluate"):
        assert f"nas.{stage} " in typed
    assert set(commands(PAGE)) > BEFORE


@pytest.mark.acceptance
def test_it_runs_in_order(tmp_path: Path) -> None:
    for command in commands(PAGE):
        if command not in BEFORE:
            (run_alone if command.split()[2] in ALONE else run)(shorter(command), tmp_path)
    assert (tmp_path / "runs" / "friday" / "analysis" / "report.html").exists()
    (snippet,) = blocks(PAGE, "python")
    (tmp_path / "use.py").write_text(
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{snippet}\nprint(model)"
    )
    said = subprocess.run(
        [sys.executable, "use.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "NEXcepTion" in said.stdout
