"""A search that begins with what another one knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

import search_spaces
from nas.optimizers import create
from nas.optimizers.protocol import Earlier, Fidelity, Outcome
from nas.run import journal
from nas.run.folder import Run, write_json
from nas.run.state import SearchState
from nas.search import warm_start
from nas.util.errors import UserError
from search_spaces.base import config_id
from tests.conftest import synthetic, true_error
from tests.descriptions import described

SPACE = search_spaces.get("nexception")


def test_every_configuration_comes_with_its_error_at_the_highest_rung(finished_run: Path) -> None:
    state = SearchState.of(journal.read(finished_run / "trials.jsonl").events)
    found = {
        config_id(row["config"]): row["error"] for row in warm_start.gather(finished_run, SPACE)["results"]
    }
    succeeded = {trial.config_id for trial in state.trials.values() if trial.error is not None}
    crashed = {trial.config_id for trial in state.trials.values() if trial.status == "crashed"}
    assert crashed - succeeded == crashed - set(found)
    assert set(found) <= succeeded
    at_top = {t.config_id: t.error for t in state.trials.values() if t.epochs == 9 and t.error is not None}
    assert len(at_top) > 5
    assert all(found[name] == pytest.approx(error) for name, error in at_top.items() if name in found)
    low = {t.config_id: t.error for t in state.trials.values() if t.epochs == 1 and t.error is not None}
    only_low = [name for name in found if name not in at_top]
    # One epoch ends half an error above nine: the expectation takes most of that off.
    assert sum(low[name] - found[name] > 0.1 for name in only_low) > 0.9 * len(only_low)


def test_the_search_begins_with_the_best_and_then_knows_where_to_look(
    simulate: Callable[..., Any], finished_run: Path
) -> None:
    earlier = [Earlier(**row) for row in warm_start.gather(finished_run, SPACE)["results"]]
    optimizer = create("smac", SPACE, Fidelity(1, 9, 3), 0, earlier=earlier)
    cold = create("smac", SPACE, Fidelity(1, 9, 3), 0)
    asked = {}
    for name, one in (("warm", optimizer), ("cold", cold)):
        asked[name] = []
        for _ in range(9):
            suggestion = one.ask()
            assert suggestion is not None
            asked[name].append(suggestion)
            # A harder data set: all errors are higher, in the same order.
            answer = synthetic(suggestion.config, suggestion.epochs, 5)
            one.tell(suggestion, Outcome(0.1 + 0.8 * (answer.errors[-1] or 0.0), 1.0))
    best = sorted(earlier, key=lambda one: one.error)[:3]
    origins = [suggestion.origin for suggestion in asked["warm"]]
    recalled = [s.config for s in asked["warm"] if s.origin == "earlier run"]
    assert origins[:2] == ["default", "named point"]
    assert [config_id(config) for config in recalled] == [
        config_id(one.config) for one in best if config_id(one.config) not in map(config_id, _points())
    ]
    assert any(origin.startswith("acquisition") for origin in origins)
    mean = {name: sum(true_error(s.config) for s in found) / 9 for name, found in asked.items()}
    assert mean["warm"] < mean["cold"] - 0.05


def _points() -> list[Any]:
    return list(SPACE.points.values())


def test_a_run_keeps_what_it_began_with(tmp_path: Path, finished_run: Path) -> None:
    known = warm_start.gather(finished_run, SPACE)
    run = Run.create(tmp_path / "new", described(), {}, known)
    assert [(one.config, one.error) for one in warm_start.read(run.earlier_json)] == [
        (row["config"], row["error"]) for row in known["results"]
    ]
    assert warm_start.read(Run.create(tmp_path / "cold", described(), {}).earlier_json) == []


@pytest.mark.parametrize(
    "text",
    ["", "{}", '{"results": [{"config": {}, "error": "low"}]}', '{"results": [{"config": 3, "error": 1}]}',
     '{"results": [{"config": {}, "error": 1e999}]}', '{"results": [7]}', "[]"],
)  # fmt: skip
def test_a_damaged_file_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "earlier.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"earlier\.json: not readable"):
        warm_start.read(path)


def test_another_space_and_an_empty_run_are_refused(simulate: Callable[..., Any], tmp_path: Path) -> None:
    simulation = simulate("empty", trials=1)
    simulation.search()[1].close()
    with pytest.raises(UserError, match=r"warm_start=.*empty: has no successful trial"):
        warm_start.gather(tmp_path / "empty", SPACE)
    search = orjson.loads((tmp_path / "empty" / "search.json").read_bytes())
    search["space"] = {**search["space"], "name": "other", "fingerprint": "0"}
    write_json(tmp_path / "empty" / "search.json", search)
    with pytest.raises(UserError, match=r"warm_start=.*: searched other; must have searched nexception"):
        warm_start.gather(tmp_path / "empty", SPACE)
    with pytest.raises(UserError, match="warm_start=.*nowhere: not a run folder"):
        warm_start.gather(tmp_path / "nowhere", SPACE)


def test_a_configuration_of_no_space_is_refused(simulate: Callable[..., Any]) -> None:
    wrong = Earlier({**SPACE.default, "stem": "cement"}, 0.3)
    with pytest.raises(UserError, match="not one of the search space"):
        create("smac", SPACE, Fidelity(1, 9, 3), 0, earlier=[wrong])
    assert replace(wrong, error=0.4).error == 0.4
