"""A space given as an object: a trial process finds it by the same text, or one line says why not."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

import search_spaces
from nas.api.spaces import name_of
from nas.util.errors import UserError
from search_spaces.nexception import NEXcepTionSpace
from tests.api.programs import ROOT, python

TOY = (ROOT / "tests" / "search_spaces" / "toy_space.py").read_text()


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "toy_of_mine.py").write_text(TOY)
    monkeypatch.syspath_prepend(tmp_path)
    yield importlib.import_module("toy_of_mine")
    del sys.modules["toy_of_mine"]


def test_a_registered_space_has_its_name() -> None:
    assert name_of("nexception") == "nexception"
    assert name_of(NEXcepTionSpace) == "nexception"
    assert name_of(NEXcepTionSpace()) == "nexception"


def test_a_space_of_ones_own_is_found_by_its_module(toy: Any) -> None:
    name = name_of(toy.ToySpace)
    assert name == name_of(toy.ToySpace()) == "toy_of_mine:ToySpace"
    assert type(search_spaces.get(name)) is toy.ToySpace


def test_what_another_process_would_not_find_is_refused(toy: Any) -> None:
    class Inner(toy.ToySpace):
        pass

    changed = toy.ToySpace()
    changed.hyperparameters = dict(list(changed.hyperparameters.items())[:2])
    for space, says in [
        (Inner, "stands within a function or class"),
        (changed, "not what ToySpace() makes"),
        (3, "space 3: must be a name"),
        (int, "must be a name"),
        (list[int], "must be a name"),
        ("nexceptoin", "did you mean nexception"),
    ]:
        with pytest.raises(UserError, match=says.replace("(", r"\(").replace(")", r"\)")):
            name_of(space)


USES = "from nas.api.spaces import name_of\nif __name__ == '__main__':\n    print(name_of(ToySpace))\n"


def run(command: list[str], folder: Path, typed: str | None = None) -> str:
    process = python(*command, folder=folder, typed=typed, environment={"PATH": ""})
    return (process.stdout + process.stderr).strip().splitlines()[-1]


def test_a_scripts_own_space_is_found(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(TOY + USES)
    for command in (["mine.py"], ["-m", "mine"]):
        assert run(command, tmp_path) == f"{tmp_path / 'mine.py'}:ToySpace"


def test_a_notebooks_own_space_is_refused_with_a_remedy(tmp_path: Path) -> None:
    said = run(["-"], tmp_path, TOY + USES)
    assert said.startswith("nas.util.errors.UserError: space ToySpace: is defined in this session")
    assert "%%writefile my_space.py" in said
