"""The tutorial of a space of one's own, and all that its commands print, typed in an empty folder."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

import search_spaces
from search_spaces.__main__ import main
from tests.typed_commands import ROOT, blocks, commands, few_forests, program, without_deepcave

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
    return without_deepcave(few_forests(command.replace("--repeats 3", "--repeats 2 --warm-up 0")))


def typed(command: str, folder: Path) -> str:
    """Types a command; it must end well. What it said."""
    words = shlex.split(shorter(command))
    assert words[:2] == ["python", "-m"]
    if "-o" in words and "nas.export" in words:  # a printed command may have been there before
        shutil.rmtree(folder / words[words.index("-o") + 1], ignore_errors=True)
    return program(shlex.join(words[2:]), folder)


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
    said: dict[str, str] = {}
    for command in commands(PAGE):
        if command not in said:  # printed by one before
            said[command] = typed(command, tmp_path)
        for line in printed(said[command]):  # what these print is said elsewhere again
            if line not in said:
                said[line] = typed(line, tmp_path)
        if command.endswith("check my_space.py"):
            (tmp_path / "my_space.py").write_text(space)
    assert (tmp_path / "runs" / "first" / "analysis" / "report.html").exists()
    assert (tmp_path / "models" / "base" / "model.onnx").exists()
    assert any("--resume runs/first" in line for line in said), said.keys()
    assert any("nas.train models/first" in line for line in said), said.keys()
    (tmp_path / "use.py").write_text(f"{snippet}\nprint(model)")
    assert "Residual" in program("use", tmp_path)
