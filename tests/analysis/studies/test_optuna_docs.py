"""What docs/how-to/optuna.md tells users to type works, and its tables are true."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from analysis.dashboard import __main__ as dashboard
from analysis.history import __main__ as history
from nas.util import cli
from tests.typed_commands import ROOT, blocks

PAGE = ROOT / "docs" / "how-to" / "optuna.md"


@pytest.fixture
def _demo(finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    demo = tmp_path / "runs" / "demo"
    shutil.copytree(finished_run, demo)
    lines = (demo / "trials.jsonl").read_bytes().splitlines(keepends=True)
    (demo / "trials.jsonl").write_bytes(b"".join(lines[: len(lines) // 3]))
    monkeypatch.chdir(tmp_path)


def commands(module: str) -> list[list[str]]:
    lines = [line for block in blocks(PAGE, "bash") for line in block.splitlines()]
    found = [shlex.split(line)[3:] for line in lines if line.startswith(f"python -m {module} ")]
    assert found
    return found


@pytest.mark.usefixtures("_demo")
def test_export_commands_and_what_reads_them() -> None:
    for args in commands("analysis.history"):
        assert history.main(args) == 0
    assert {path.name for path in Path().glob("*.*")} == {"demo.db", "demo.log", "studies.db"}
    (code,) = blocks(PAGE, "python")
    exec(compile(code, str(PAGE), "exec"), {})


@pytest.mark.parametrize("args", commands("analysis.dashboard"), ids=" ".join)
def test_dashboard_commands_are_understood(args: list[str]) -> None:
    command = cli.parse(dashboard.Command, prog=dashboard.PROG, description="", args=args)
    assert command.ui == "optuna"
    assert all(str(run).startswith("runs/") for run in command.runs)


def test_messages_that_the_page_quotes_are_said() -> None:
    sources = "".join(
        path.read_text()
        for room in ("dashboard", "history", "studies")
        for path in (ROOT / "analysis" / room).rglob("*.py")
    )
    section = PAGE.read_text().split("## When something is wrong")[1]
    for quoted in re.findall(r"^\| `(.+?)`", section, re.MULTILINE):
        words = quoted.removeprefix("optuna-dashboard: ").removeprefix("--port: 8050 ")
        assert words.replace("demo", "{study.name}") in sources
