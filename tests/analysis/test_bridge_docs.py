"""What docs/deepcave.md tells users to type works."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import shutil
from pathlib import Path

import pytest

from analysis.dashboard import __main__ as dashboard
from analysis.history import __main__ as export
from nas.util import cli

PAGE = Path(__file__).resolve().parents[2] / "docs" / "deepcave.md"


@pytest.fixture
def _demo(finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(finished_run, tmp_path / "runs" / "demo")
    monkeypatch.chdir(tmp_path)


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(), re.DOTALL)


def commands(module: str) -> list[list[str]]:
    lines = [line for block in blocks("bash") for line in block.splitlines()]
    found = [shlex.split(line)[3:] for line in lines if line.startswith(f"python -m {module} ")]
    assert found
    return found


@pytest.mark.usefixtures("_demo")
@pytest.mark.parametrize("args", commands("analysis.history"), ids=" ".join)
def test_export_commands(args: list[str]) -> None:
    assert export.main(args) == 0


@pytest.mark.parametrize("args", commands("analysis.dashboard"), ids=" ".join)
def test_dashboard_commands_are_understood(args: list[str]) -> None:
    command = cli.parse(dashboard.Command, prog="", description="", args=args)
    assert command.runs[0] == Path("runs/demo")


@pytest.mark.acceptance
@pytest.mark.usefixtures("_demo")
def test_the_snippet() -> None:
    (snippet,) = blocks("python")
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(snippet, str(PAGE), "exec"), {})
    share, path = said.getvalue().splitlines()
    assert re.fullmatch(r"\[0\.\d+, 0\.\d+\]", share)
    assert path.startswith("[['default', ")


def test_pictures_are_there_and_small() -> None:
    pictures = re.findall(r"\((images/[\w.-]+\.png)\)", PAGE.read_text())
    assert len(pictures) == 2
    for picture in pictures:
        assert 10_000 < (PAGE.parent / picture).stat().st_size < 300_000
