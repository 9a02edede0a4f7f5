"""Every command and snippet of docs/analysis.md runs."""

from __future__ import annotations

import json
import re
import runpy
import shlex
import shutil
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest

from analysis.importance import Importances
from nas.util import cli

DOCS = Path(__file__).parents[2] / "docs" / "analysis.md"

# So that a test takes seconds: fewer trees than the commands of the page use by themselves.
QUICK = {
    "analysis.report": ["--engine", "local", "--trees", "8", "--bootstrap", "2"],
    "analysis.importance": ["--engine", "local", "--trees", "8", "--bootstrap", "2"],
    "analysis.compare": ["--trees", "8"],
}


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", DOCS.read_text(), flags=re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder(finished_run: Path, write_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(finished_run, tmp_path / "runs" / "cifar10")
    for seed, name in enumerate(("cifar10-seed1", "cifar10-hyperband"), start=1):
        path = write_run(
            tmp_path / "runs" / name,
            60,
            lambda c, e, _: 0.3 + 0.2 * (not c["bottleneck"]) + 0.3 / e,
            seed=seed,
        )
        search = json.loads((path / "search.json").read_text())
        search["settings"]["choice"] |= {"seed": seed, "optimizer": ("smac", "hyperband")[seed - 1]}
        (path / "search.json").write_text(json.dumps(search))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.acceptance
def test_the_snippets_run_in_order(folder: Path) -> None:
    snippets = blocks("python")
    assert len(snippets) >= 5
    (folder / "notebook.py").write_text("\n".join(snippets))
    names = runpy.run_path(str(folder / "notebook.py"))
    assert isinstance(names["found"], Importances)
    assert (folder / "lpi.pdf").stat().st_size > 1_000
    assert names["page"].exists()
    assert set(names["comparison"].finals["run"]) == {"cifar10", "cifar10-seed1", "cifar10-hyperband"}


@pytest.mark.acceptance
def test_the_commands_run(folder: Path) -> None:
    """Each program runs once; other flags for it, and days of training, are parsed only."""
    lines = [line for block in blocks("bash") for line in block.replace("\\\n", " ").splitlines()]
    run: set[str] = set()
    for line in lines:
        python, dash_m, name, *args = shlex.split(line, comments=True)
        assert (python, dash_m) == ("python", "-m")
        module = import_module(f"{name}.__main__")
        if name in QUICK and name not in run and Path(args[0]).exists():
            run.add(name)
            assert module.main([*args, *QUICK[name]]) == 0
        else:
            assert cli.parse(module.Command, prog=name, description="", args=args)
    assert run == set(QUICK)
    assert (folder / "runs" / "cifar10" / "analysis" / "report.html").exists()
    assert (folder / "runs" / "comparison" / "progress.png").exists()


def test_the_columns_are_those_of_the_file(finished_run: Path) -> None:
    from analysis.frames import load
    from analysis.importance import Settings, importances

    found = importances(load(finished_run), Settings(engine="local", trees=4, bootstrap=0))
    text = DOCS.read_text()
    table = text[text.index("## The columns") :]
    assert set(
        re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", table, flags=re.MULTILINE)))
    ) == set(found.table.columns)
    assert isinstance(found.table, pd.DataFrame)


def test_every_figure_is_one_the_report_makes(finished_run: Path) -> None:
    from analysis.report.page import _LABELS

    shown = re.findall(r"\(images/report-(.*?)\.png\)", DOCS.read_text())
    assert shown
    assert set(shown) <= set(_LABELS)
