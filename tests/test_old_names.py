"""Names of modules that model cards, notebooks and scripts hold go on working."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import search_spaces

OLD = {
    "nas.models": ("search_spaces.nexception", "build"),
    "nas.models.timm_entry": ("search_spaces.nexception.timm_models", "nexception_t"),
    "search_spaces.nexception": ("search_spaces.nexception.space", "NEXcepTionSpace"),
    "analysis.load": ("analysis.frames", "load"),
    "analysis.bridge": ("analysis.deepcave.bridge", "evaluate"),
    "analysis.figures_importance": ("analysis.importance.figures", "bars"),
    "analysis.marginals": ("analysis.importance.marginals", "crashes"),
    "analysis.export": ("analysis.history.__main__", "main"),
    "analysis.importance": ("analysis.importance.by_budget", "importances"),
    "analysis.compare": ("analysis.compare.comparison", "compare"),
    "analysis.report": ("analysis.report.page", "report"),
}


@pytest.mark.parametrize("old", OLD)
def test_an_old_name_gives_the_same(old: str) -> None:
    new, name = OLD[old]
    assert getattr(import_module(old), name) is getattr(import_module(new), name)


def test_a_space_by_the_name_that_old_runs_hold() -> None:
    """``search.json`` of a run begun with ``--space module:Class`` names the class by its module."""
    named = search_spaces.get("search_spaces.nexception:NEXcepTionSpace")
    assert named.fingerprint == search_spaces.get("nexception").fingerprint
    from search_spaces.base import Config, Hyperparameter, SearchSpace

    assert issubclass(type(named), SearchSpace)
    assert Config
    assert Hyperparameter


def test_an_old_card_loads_its_network() -> None:
    """In a process of its own: importing the module must do all that the card promises."""
    code = (
        "import timm\n"
        "import nas.models.timm_entry\n"
        "assert timm.is_model('nexception_t')\n"
        "timm.create_model('nexception', geometry=None, num_classes=2)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_old_command(finished_run: Path, tmp_path: Path) -> None:
    out = tmp_path / "history.csv"
    command = [sys.executable, "-m", "analysis.export", str(finished_run), "--format", "csv", "-o", str(out)]
    subprocess.run(command, check=True, capture_output=True)
    assert out.read_text().startswith("trial,")


def test_what_a_notebook_imports_brings_no_torch() -> None:
    code = "import sys, nas.models, analysis.load, search_spaces.nexception; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
