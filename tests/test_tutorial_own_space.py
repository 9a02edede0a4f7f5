"""The tutorial of a space of one's own, and all that its commands print, typed in an empty folder."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import search_spaces
from search_spaces.__main__ import main
from tests import warm_programs
from tests.typed_commands import ROOT, blocks, commands

PAGE = ROOT / "docs" / "tutorial-own-space.md"
PLACEHOLDERS = re.compile(r"\bDIR\b|\bOTHER\b|PATH_OF")
FEW = "--image-size 8 --max-images 200 --threads 1 --device cpu --min-epochs 1 --max-epochs 2 --eta 2"


def shorter(command: str) -> str:
    """The same on a part of the images, with limits of trials in place of minutes."""
    if "nas.search" in command and "--resume" not in command:
        for flag in ("min-epochs", "max-epochs", "eta"):
            command = re.sub(rf" --{flag} \d+", "", command)
        enough = 20 if "--name" in command else 4  # to tell what matters
        command += f" {FEW}" + ("" if "--plan" in command else f" --trials {enough}")
    elif "nas.search" in command:
        command += " --trials 22"
    if "nas.confirm" in command:
        command = re.sub(r"--top \d+ --seeds \d+", "--top 1 --seeds 2", command)
    if "nas.train" in command:
        command += " --epochs 1 --batch-size 20 --max-images 60 --workers 0"
    return command.replace("--repeats 3", "--repeats 2 --warm-up 0")


def typed(command: str, folder: Path, *, warm: bool) -> str:
    """Types a command; it must end well. What it said."""
    words = shlex.split(shorter(command))
    if "-o" in words and "nas.export" in words:  # a printed command may have been there before
        shutil.rmtree(folder / words[words.index("-o") + 1], ignore_errors=True)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    if warm:
        assert words[:2] == ["python", "-m"]
        done = warm_programs.run(words[2:], folder, environment, timeout=600)
    else:
        done = subprocess.run(
            [sys.executable, *words[1:]],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
            env=environment,
            stdin=subprocess.DEVNULL,
        )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    assert "Traceback" not in done.stderr
    return done.stdout


def printed(said: str) -> list[str]:
    """Commands among what was said, as printed."""
    found = re.findall(r"(?:^|: ) *\S*(python -m .*)$", said, flags=re.MULTILINE)
    return [command for command in found if not PLACEHOLDERS.search(command)]


def test_its_space_is_a_space(tmp_path: Path, capsys: pytest.CaptureFixture[str], one_thread: None) -> None:
    path = tmp_path / "my_space.py"
    path.write_text(blocks(PAGE, "python")[0])
    assert main(["check", str(path)]) == 0, capsys.readouterr().out
    space = search_spaces.get(str(path))
    kinds = {type(hp).__name__ for hp in space.hyperparameters.values()}
    assert kinds == {"Hyperparameter", "Integer", "Float"}
    assert space.rules is not None
    assert space.training
    assert space.full_sizes
    for config in space.sample(20, 0):
        assert ("patch" in config) == (config["stem"] == "patch")


def test_it_names_every_step() -> None:
    lines = " ".join(commands(PAGE))
    for step in ("new", "check", "show"):
        assert f"search_spaces {step} my_space.py" in lines
    for step in ("search", "status", "confirm", "export", "evaluate", "train", "profile"):
        assert f"nas.{step} " in lines
    for words in ("--plan", "analysis.report", "--geometry reduced", "--onnx"):
        assert words in lines


@pytest.mark.acceptance
@pytest.mark.timeout(1200)  # some thirty programs
def test_it_runs_in_order_with_all_that_it_prints(tmp_path: Path) -> None:
    space, snippet = blocks(PAGE, "python")
    seen: set[str] = set()
    for command in commands(PAGE):
        waiting = [command]
        while waiting:
            line = waiting.pop(0)
            if line in seen and line != command:
                continue
            seen.add(line)
            said = typed(line, tmp_path, warm=line != command)
            if line == command:  # what a printed command prints is said elsewhere again
                waiting += printed(said)
        if command.endswith("check my_space.py"):
            (tmp_path / "my_space.py").write_text(space)
    assert (tmp_path / "runs" / "first" / "analysis" / "report.html").exists()
    assert (tmp_path / "models" / "base" / "model.onnx").exists()
    assert any("--resume runs/first" in line for line in seen), seen
    assert any("nas.train models/first" in line for line in seen), seen
    (tmp_path / "use.py").write_text(
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{snippet}\nprint(model)"
    )
    done = subprocess.run(
        [sys.executable, "use.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert "Residual" in done.stdout
