"""Named points: the costliest network has one name, and the one of earlier versions is understood."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING

import pytest

import search_spaces
from nas.export import source
from nas.util.errors import UserError
from search_spaces import ends
from search_spaces.points import COST_ENDS, Points, cost_ends, named_points
from tests.search_spaces.toy_space import ToySpace

if TYPE_CHECKING:
    from pathlib import Path

    from search_spaces.base import Config

SPACE_FILE = """
from search_spaces.base import Hyperparameter, SearchSpace

class Named(SearchSpace):
    hyperparameters = (Hyperparameter("kernel", (1, 3, 5), default=3),)
    points = {"cheapest": {"kernel": 1}, "%s": {"kernel": 5}}

    def build(self, config, num_classes, in_chans, image_size):
        raise NotImplementedError
"""


@pytest.mark.parametrize("defined", ["costliest", "dearest"])
def test_a_space_may_give_the_costliest_point_either_name(defined: str) -> None:
    class Named(ToySpace):
        @property
        def points(self) -> dict[str, Config]:
            return {"cheapest": {**self.default, "kernel_size": 1}, defined: self.default}

    space = Named()
    named = named_points(space)
    assert list(named) == ["cheapest", "costliest"]  # what is shown
    assert named["costliest"] == named["dearest"] == named.get("dearest") == space.default
    assert [name for name in ("costliest", "dearest", "other", 3) if name in named] == [
        "costliest",
        "dearest",
    ]
    assert named.get("other") is None
    with pytest.raises(KeyError, match="other"):
        named["other"]
    assert cost_ends(space) == ends.find(space, None, 10, 3, 8) == dict(named)
    assert set(named) <= set(COST_ENDS)  # the search does not try them as promising ones


@pytest.mark.parametrize("typed", ["costliest", "dearest"])
@pytest.mark.parametrize("defined", ["costliest", "dearest"])
def test_both_names_are_typed_for_a_space_of_a_file(typed: str, defined: str, tmp_path: Path) -> None:
    (tmp_path / "named.py").write_text(SPACE_FILE % defined)
    found = source.find(typed, space=str(tmp_path / "named.py"))
    assert found.config == {"kernel": 5}
    assert found.facts == {"kind": "named point", "name": "costliest"}


@pytest.mark.parametrize("typed", ["costliest", "dearest"])
@pytest.mark.parametrize("space", ["nexception", "mobilenet", "vit"])
def test_both_names_are_typed_for_every_space_of_the_package(typed: str, space: str) -> None:
    assert source.find(typed, space=space).config == dict(search_spaces.get(space).points)["costliest"]


def test_messages_name_the_costliest(tmp_path: Path) -> None:
    (tmp_path / "named.py").write_text(SPACE_FILE % "dearest")
    with pytest.raises(UserError, match="or a named point: cheapest, costliest$"):
        source.find("other", space=str(tmp_path / "named.py"))


def test_the_old_name_of_a_built_in_point_is_found_but_not_listed() -> None:
    points = search_spaces.get("nexception").points
    assert points["dearest"] == points["costliest"]
    assert "dearest" not in json.loads(json.dumps(points))
    assert pickle.loads(pickle.dumps(points))["dearest"] == points["costliest"]


def test_of_two_names_in_a_space_the_later_one_counts() -> None:
    old = search_spaces.get("nexception").points
    assert Points({**old, "dearest": {"kernel": 1}})["costliest"] == {"kernel": 1}
