"""DeepCAVE's pages of several objectives show the costs that a search weighed, and its front."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from nas.run.folder import Run
from nas.run.objectives import COST, Objectives
from nas.run.state import SearchState
from tests.search.test_costing import search, search_costs

pytestmark = pytest.mark.acceptance

Page = Any
COST_NAME = "MACs (reduced)"


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run for the front of error and MACs; half of its journal at first, as the page expects it."""
    run = search(tmp_path_factory.mktemp("runs") / "front", search_costs(), trials=120)
    lines = run.journal.read_bytes().splitlines(keepends=True)
    run.journal.write_bytes(b"".join(lines[: len(lines) // 2]))
    (run.path / "rest").write_bytes(b"".join(lines[len(lines) // 2 :]))
    return run.path


def top(state: SearchState) -> list[Any]:
    return [t for t in state.trials.values() if t.epochs == 9 and t.error is not None and not t.cached]


def choose_by_name(page: Page, select: str, name: str) -> None:
    from selenium.webdriver.support.ui import Select

    page.wait(lambda: name in page.driver.find_element("id", select).text, f"{name} in {select}")
    Select(page.driver.find_element("id", select)).select_by_visible_text(name)


def test_the_pareto_page_begins_with_the_error_and_the_cost(
    page: Page, state: SearchState, shown: Path
) -> None:
    page.open("pareto_front")
    points = {(x, y) for trace in page.traces() for x, y in zip(trace["x"], trace["y"], strict=True)}
    front = Objectives(("macs",)).front(state, 9)
    members = json.loads(Run(shown).front_json.read_bytes())["members"]
    assert [member["trial"] for member in members] == [trial.trial for trial in front]
    assert {(m["error"], m["costs"]["macs"]) for m in members} <= points, "by default it draws nothing else"
    assert points <= {(t.error, t.metrics[COST + "macs"]) for t in top(state)}
    assert COST_NAME in page.driver.page_source
    page.check()
    page.picture("pareto-front-of-a-search")


def test_other_objectives_can_be_set_against_each_other(page: Page, state: SearchState) -> None:
    page.open("pareto_front")
    page.traces()
    choose_by_name(page, "pareto_front-objective_id_1-input", COST_NAME)
    choose_by_name(page, "pareto_front-objective_id_2-input", "error")
    least = min(trial.metrics[COST + "macs"] for trial in top(state))
    page.wait(
        lambda: page.graphs[0] and min(x for trace in page.graphs[0] for x in trace["x"]) == least,
        "the cost along the other axis",
    )
    page.check()


def test_importance_for_the_cost_is_that_of_the_kernels(page: Page) -> None:
    page.open("importances")
    page.wait(lambda: "trials)" in page.text, "budgets with their trials")
    choose_by_name(page, "importances-objective_id1-input", COST_NAME)
    page.choose("importances-method-input", "global")
    page.process()
    most = page.traces()[0]  # the lowest rung has the most networks, and a network costs the same at each
    shares = dict(zip(most["x"], most["y"], strict=True))
    kernels = shares["kernel_mid"] + shares["kernel_down"]
    assert kernels > 0.9 * sum(shares.values()) > 0.5, f"nothing else is in this cost: {shares}"
    page.check()
    page.picture("importances-of-a-cost")


def test_parallel_coordinates_end_with_the_cost(page: Page, state: SearchState) -> None:
    page.open("parallel_coordinates")
    page.wait(
        lambda: page.driver.find_elements("id", "parallel_coordinates-objective_id-input"), "objectives"
    )
    choose_by_name(page, "parallel_coordinates-objective_id-input", COST_NAME)
    page.process()
    (trace,) = page.traces()
    values = next(d["values"] for d in trace["dimensions"] if d["label"] == COST_NAME)
    assert sorted(values) == pytest.approx(sorted(t.metrics[COST + "macs"] for t in top(state)))
    page.check()
    page.picture("parallel-coordinates-of-a-cost")
