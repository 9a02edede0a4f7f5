"""A run's front is profiled beside timm's networks of about the same cost, and the report shows it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from analysis.frames import load
from analysis.report import profiled
from nas.export.loading import find
from nas.profile import __main__ as command
from nas.profile import front
from nas.profile.settings import ProfileSettings
from nas.run.folder import Run
from nas.util.counts import count
from nas.util.errors import UserError
from tests.conftest import Simulation
from tests.search.test_costing import search, search_costs

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    found = search(tmp_path_factory.mktemp("runs") / "fronted", search_costs(), trials=24)
    described = json.loads(found.search_json.read_bytes())
    described["data"] |= {"image_size": 32, "in_chans": 3, "class_names": [str(i) for i in range(10)]}
    described["width"] = 16
    found.search_json.write_text(json.dumps(described))
    return found


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(front, "_TIMMS", ("test_resnet", "test_vit", "test_efficientnet"))


def test_members_are_the_fronts_ends_and_what_lies_between(run: Run) -> None:
    listed = [member["trial"] for member in json.loads(run.front_json.read_bytes())["members"]]
    found = front.members(run.path)
    assert 1 <= len(found) <= 5
    assert {listed[0], listed[-1]} <= {member.trial for member in found} <= set(listed)
    model = found[0].create()
    assert count(model.eval(), 32, 3).params == sum(p.numel() for p in model.parameters())


def test_each_has_another_neighbour_of_the_nearest_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    costs = {"test_resnet": 10.0, "test_vit": 100.0, "test_efficientnet": 1000.0, "low": 9.0, "high": 11.0}
    monkeypatch.setattr(front, "_cost", lambda create, _: costs[create.__self__.name])

    class Fake:
        costs = {"macs": 1.0}  # noqa: RUF012

        def __init__(self, name: str) -> None:
            self.name = name

        def create(self) -> None: ...

    found = front.neighbours([Fake("low"), Fake("high")])  # type: ignore[list-item]
    assert [one.name for one in found] == ["test_resnet", "test_vit"]
    assert find("test_vit").name == "test_vit"


def test_the_table_lies_in_the_run_and_the_report_shows_it(run: Run, capsys: Any) -> None:
    args = ["--front", str(run.path), "--batch-size", "2", "--repeats", "2", "--warm-up", "1"]
    assert command.main([*args, "--seconds", "1"]) == 0
    said = capsys.readouterr().out
    found = front.members(run.path)
    assert all(f"{member.name}: {member.top1:.2%} in the search" in said for member in found)
    rows = profiled.rows(load(run.path))
    assert {member.name for member in found} < {row["network"] for row in rows}
    assert len(rows) == len(found) + min(len(found), 3)
    (run.path / "profile" / "profile.json").write_text('{"models": [{"model": 3}]}')
    assert profiled.rows(load(run.path)) == []


def test_a_run_without_a_front_is_refused(tmp_path: Path) -> None:
    Simulation(tmp_path / "plain", trials=3).run()
    with pytest.raises(UserError, match="searched for the error alone"):
        front.members(tmp_path / "plain")


def test_names_or_a_front_are_needed() -> None:
    with pytest.raises(UserError, match="must name at least one network"):
        ProfileSettings(())
    with pytest.raises(UserError, match="takes networks by name"):
        ProfileSettings(front=Path("r"), stages=True)
    assert ProfileSettings(front=Path("r")).folder == Path("r/profile")
    assert ProfileSettings(("resnet18",)).folder is None
