"""Rungs that mislead, in searches of a front, within a limit, and with Hyperband's brackets."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from rich.console import Console

from analysis.frames import load
from analysis.report import findings
from nas.optimizers import all_rungs
from nas.optimizers.objectives import Costs
from nas.optimizers.protocol import Fidelity
from nas.optimizers.settings import OptimizerSettings
from nas.run import learnt_rungs
from nas.run.folder import Run
from nas.run.objectives import Objectives
from nas.search import __main__ as search
from nas.search.costing import SearchCosts
from nas.search.settings import CostSettings, SearchSettings, refuse_changes
from nas.status.watcher import Watcher
from nas.util.errors import UserError
from nas.view.panel import draw
from search_spaces.base import Config
from tests.conftest import synthetic
from tests.descriptions import described
from tests.search.test_beginning import TINY
from tests.search.test_misleading_rungs import Notes, asked, first_epochs, opposed

HYPERBAND = OptimizerSettings(brackets="hyperband")


def kernels(config: Config) -> float:
    return 1e6 * (config["kernel_mid"] + config["kernel_down"])  # type: ignore[operator]


def weighed(*objectives: str, **limits: float) -> SearchCosts:
    """MACs as a further objective, or with a limit."""
    costs = Costs(objectives, limits, lambda configs: [{"macs": kernels(config)} for config in configs])
    return SearchCosts(Objectives(objectives, limits), costs, None)  # type: ignore[arg-type]  # nothing is counted


KINDS: dict[str, dict[str, Any]] = {
    "front": {"costs": weighed("macs")},
    "limit": {"costs": weighed(macs=14e6)},
    "hyperband": {"smac": HYPERBAND},
    "front by hyperband": {"costs": weighed("macs"), "smac": HYPERBAND},
}
every = pytest.mark.parametrize("kind", KINDS)
both = pytest.mark.parametrize("kind", ["limit", "front by hyperband"])


@every
def test_configurations_begin_higher_and_log_and_report_say_so(
    kind: str, simulate: Callable[..., Any]
) -> None:
    notes = Notes()
    simulation = simulate(problem=opposed, trials=60, **KINDS[kind])
    simulation.run(notes)
    begun = first_epochs(simulation.path)
    assert begun[:2] == [9, 1], "the first is trained to the end at once, the others as the brackets say"
    assert set(begun[-12:]) == {9}
    assert notes.lines[-1].endswith("here: configurations begin at 9 epochs")
    said = findings.proxies(load(simulation.path))[-1]
    assert said.startswith("So the search began higher: 1 epoch tells ")
    shown = Watcher(simulation.path).look()
    assert f"So the search began higher: {shown.misleading}." == said
    screen = Console(width=400, record=True, file=io.StringIO())
    screen.print(draw(shown))
    assert "configurations begin at 9 epochs" in screen.export_text()


@every
def test_where_they_tell_something_nothing_is_left_out(kind: str, simulate: Callable[..., Any]) -> None:
    notes = Notes()
    simulation = simulate(problem=synthetic, trials=60, **KINDS[kind])
    simulation.run(notes)
    assert notes.lines == []
    assert 1 in first_epochs(simulation.path)[-25:]
    assert Watcher(simulation.path).look().misleading == ""


@both
def test_a_search_that_was_killed_decides_as_the_uninterrupted_one(
    kind: str, simulate: Callable[..., Any]
) -> None:
    simulation = simulate(problem=opposed, trials=40, replicates=0.15, **KINDS[kind])
    simulation.run()
    whole, lines = asked(simulation.path), Run(simulation.path).journal.read_bytes().splitlines(keepends=True)
    for cut in (len(lines) // 2, len(lines) - 9):
        Run(simulation.path).journal.write_bytes(b"".join(lines[:cut]))
        simulation.run()
        assert asked(simulation.path) == whole


@both
def test_with_many_slots_it_is_noticed_too(kind: str, simulate: Callable[..., Any]) -> None:
    simulation = simulate(problem=opposed, trials=100, slots=4, **KINDS[kind])
    simulation.run()
    assert set(first_epochs(simulation.path)[-12:]) == {9}


@both
@pytest.mark.parametrize("rungs", [(3, 9), (9,)])
def test_of_two_rungs_the_lower_is_left_out_and_of_one_none(
    kind: str, rungs: tuple[int, ...], simulate: Callable[..., Any]
) -> None:
    simulation = simulate(problem=opposed, trials=50, fidelity=Fidelity(rungs[0], 9, 3), **KINDS[kind])
    notes = Notes()
    simulation.run(notes)
    assert set(first_epochs(simulation.path)[-12:]) == {9}
    assert bool(notes.lines) is (len(rungs) > 1)


def test_hyperbands_brackets_keep_what_begins_above_the_lowest_worthwhile_rung(
    simulate: Callable[..., Any],
) -> None:
    """The lowest of three misleads: brackets begin at the middle one, but for those at the top."""

    def first_misleads(config: Config, epochs: int, seed: int) -> Any:
        answer = opposed(config, 9, seed)
        errors = tuple(answer.errors[0 if epoch < 3 else 8] for epoch in range(1, epochs + 1))
        return type(answer)(errors, 1.0)

    simulation = simulate(problem=first_misleads, trials=80, smac=HYPERBAND)
    simulation.run()
    assert set(first_epochs(simulation.path)[-20:]) == {3, 9}


# What run folders hold


@pytest.mark.parametrize(
    "begun",
    [
        SearchSettings(costs=CostSettings(("error", "macs"))),
        SearchSettings(costs=CostSettings(max_params="5M")),
        SearchSettings(smac=HYPERBAND),
    ],
)
def test_a_run_of_before_goes_on_with_all_rungs(begun: SearchSettings) -> None:
    """It recorded ``learnt``, which had no effect there."""
    values = orjson.loads(orjson.dumps(begun.to_json()))
    assert SearchSettings.from_json(values) == begun
    assert begun.smac.rungs == "learnt"
    values["smac"]["rungs"] = "learnt"
    before = SearchSettings.from_json(values)
    assert before.smac.rungs == "all"
    assert SearchSettings.from_json(before.to_json()) == before
    refuse_changes(begun, begun)
    with pytest.raises(UserError, match=r"rungs=learnt: this run was begun with all; leave it out"):
        refuse_changes(before, begun)


def test_the_report_of_a_run_of_before_claims_nothing(simulate: Callable[..., Any], tmp_path: Path) -> None:
    simulation = simulate(problem=opposed, trials=60, smac=HYPERBAND)
    simulation.run()
    path = Run(simulation.path).search_json
    values = orjson.loads(path.read_bytes())
    assert values["settings"]["smac"]["rungs"] == "learnt everywhere"
    values["settings"]["smac"]["rungs"] = "learnt"
    path.write_bytes(orjson.dumps(values))
    assert not any("began higher" in said for said in findings.proxies(load(simulation.path)))
    assert Watcher(simulation.path).look().misleading == ""


@pytest.mark.parametrize("rungs", [[], [9], [0, 9], [9, 3, 1], [5, 6], [-3, -1]])
def test_a_file_with_impossible_rungs_breaks_no_status(rungs: list[int]) -> None:
    assert not learnt_rungs.decide(replace(described(), rungs=rungs))


@pytest.mark.parametrize(
    ("optimizer", "settings", "said"),
    [
        ("smac", OptimizerSettings(), ""),
        ("smac", HYPERBAND, ""),
        ("random", OptimizerSettings(), ""),
        ("hyperband", OptimizerSettings(rungs="all"), ""),
        ("hyperband", OptimizerSettings(), "optimizer hyperband has no model and uses all rungs; smac with "),
        ("smac", OptimizerSettings(random_probability=1.0), "random_probability 1 has no model"),
    ],
)
def test_where_nothing_is_noticed_that_is_said(
    optimizer: str, settings: OptimizerSettings, said: str
) -> None:
    found = all_rungs(optimizer, Fidelity(1, 9, 3), settings)
    assert found.startswith(said)
    assert bool(found) is bool(said)
    assert all_rungs(optimizer, Fidelity(9, 9, 3), settings) == ""


def test_the_log_says_it_at_the_start(tmp_path: Path, trials_here: None) -> None:
    args = [*TINY, "--trials", "1", "--runs-dir", str(tmp_path), "--name", "run", "--quiet"]
    assert search.main([*args, "--optimizer", "hyperband", "--min-epochs", "auto"]) == 0
    assert "optimizer hyperband has no model and uses all rungs" in Run(tmp_path / "run").log.read_text()
