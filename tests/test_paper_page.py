"""docs/paper.md: every table and figure of the paper, with a command that is one of ours."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.typed_commands import ROOT, few_forests, program, without_deepcave

PAPER = [*(f"Table {i}" for i in range(1, 7)), *(f"Figure {i}" for i in range(1, 7))]


def rows() -> dict[str, str]:
    page = (ROOT / "docs" / "paper.md").read_text()
    return dict(re.findall(r"^\| ((?:Table|Figure) \d+) \| [^|]+ \| (.+) \|$", page, re.MULTILINE))


def commands() -> dict[str, list[str]]:
    found = {name: re.findall(r"`python (-m [^`]+)`", row) for name, row in rows().items()}
    return {name: shlex.split(row[0]) for name, row in found.items() if row}


def test_all_tables_and_figures_are_listed() -> None:
    assert list(rows()) == PAPER
    for name, row in rows().items():
        assert name in commands() or re.search(r"Table 3's command|the same command", row), name


@pytest.mark.parametrize("name", [*PAPER[:6], "Figure 5"])
def test_the_commands_flags_are_there(name: str) -> None:
    """Parsed as typed; what they need is not here."""
    from nas.evaluate.evaluation import EvaluateSettings
    from nas.export.__main__ import Command as Export
    from nas.profile.settings import ProfileSettings
    from nas.train.__main__ import Command as Train
    from nas.util import cli

    _, module, *args = commands()[name]
    kinds = {
        "nas.export": Export,
        "nas.evaluate": EvaluateSettings,
        "nas.profile": ProfileSettings,
        "nas.train": Train,
    }
    cli.parse(kinds[module], prog=module, description="", args=args)


@pytest.mark.acceptance
@pytest.mark.parametrize("name", ["Table 1", "Table 4", "Table 5", "Table 6"])
def test_a_cheap_command_does_what_the_page_says(name: str, tmp_path: Path) -> None:
    _, *words = commands()[name]
    program(shlex.join(words), tmp_path)
    assert list(tmp_path.rglob("recipe.yaml" if name == "Table 1" else "stages.md"))


@pytest.mark.acceptance
@pytest.mark.parametrize("name", ["Figure 1", "Figure 4"])
def test_a_run_is_analysed(name: str, finished_run: Path, tmp_path: Path) -> None:
    run = shutil.copytree(finished_run, tmp_path / "run")
    _, *words = [str(run) if arg == "runs/NAME" else arg for arg in commands()[name]]
    program(without_deepcave(few_forests(shlex.join(words))), ROOT)
    wanted = "network.png" if name == "Figure 1" else "*lpi*.png"
    assert list((run / "analysis").rglob(wanted))
