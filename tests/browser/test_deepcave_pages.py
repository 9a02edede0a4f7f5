"""Each of DeepCAVE's pages shows our run's data and no error."""

from __future__ import annotations

from typing import Any

import pytest

from nas.run.state import SearchState

pytestmark = pytest.mark.acceptance

Page = Any


def successes(state: SearchState, epochs: int) -> list[Any]:
    return [
        trial
        for trial in state.trials.values()
        if trial.status == "success" and trial.epochs == epochs and not trial.cached
    ]


def rungs(state: SearchState) -> list[int]:
    return sorted({trial.epochs for trial in state.trials.values() if trial.status == "success"})


def best(state: SearchState) -> float:
    return float(state.trials[state.incumbent or 0].error or 0.0)


def test_overview(page: Page, state: SearchState, shown: Any) -> None:
    page.open("overview")
    page.wait(lambda: "Best error" in page.text, "the run's figures")
    assert "Optimizer: smac" in page.text
    assert f"Total trials: {state.finished}" in page.text
    assert f"Best error: {round(best(state), 3)}" in page.text
    selected = page.driver.find_element("id", "overview-run-input").text
    assert shown.name in selected
    bars = {trace["name"]: dict(zip(trace["x"], trace["y"], strict=True)) for trace in page.traces()}
    for epochs in rungs(state):
        crashed = [number for number in state.crashed if state.trials[number].epochs == epochs]
        assert bars[str(epochs)]["success"] == len(successes(state, epochs))
        assert bars[str(epochs)].get("crashed", 0) == len(crashed)
    page.check()
    page.picture("overview")


def test_cost_over_time(page: Page, state: SearchState, shown: Any) -> None:
    page.open("cost_over_time")
    trace = next(trace for trace in page.traces() if trace["name"] == shown.name)
    winner = state.trials[state.incumbent or 0]
    assert min(trace["y"]) == pytest.approx(best(state))
    assert any(x == pytest.approx(winner.clock_ended, abs=0.01) for x in trace["x"]), "real times"
    page.check()
    page.picture("cost-over-time")


@pytest.mark.parametrize("method", ["local", "global"])
def test_importances_per_budget(page: Page, state: SearchState, space: dict[str, int], method: str) -> None:
    two_choices = [name for name, choices in space.items() if choices == 2]
    page.open("importances")
    page.wait(lambda: "(too few" in page.text or "trials)" in page.text, "budgets with their trials")
    page.choose("importances-method-input", method)
    page.process()
    enough = [epochs for epochs in rungs(state) if len(successes(state, epochs)) >= 10]
    page.wait(
        lambda: page.graphs[0] and [trace["name"] for trace in page.graphs[0]] == [str(e) for e in enough],
        f"bars for {enough} epochs",
    )
    for trace in page.traces():
        assert set(trace["x"]) == set(space)
        assert all(0 <= value <= 1 for value in trace["y"])
        assert sum(trace["y"]) > 0.4
    first = page.traces()[0]
    shares = dict(zip(first["x"], first["y"], strict=True))
    assert max(shares[name] for name in two_choices) > 0, "stock LPI gives exactly 0 to all of them"
    page.check()
    page.picture("importances" if method == "local" else "fanova")


def test_budget_correlation(page: Page, state: SearchState) -> None:
    page.open("budget_correlation")
    traces = page.traces()
    assert [trace["name"] for trace in traces] == [str(epochs) for epochs in rungs(state)]
    assert "The budget correlation of" in page.text
    assert all(-1 <= value <= 1 for trace in traces for value in trace["y"] if value is not None)
    page.check()
    page.picture("budget-correlation")


def test_footprint(page: Page, state: SearchState) -> None:
    page.open("footprint")
    page.process()
    traces = page.traces()
    points = {trace["name"]: trace["x"] for trace in traces if trace["type"] == "scatter"}
    assert any(trace["type"] == "heatmap" and len(trace["z"]) >= 10 for trace in traces)
    shown_configs = len(points["Configuration"]) + len(points["Incumbent"])
    assert shown_configs in (n := len(successes(state, rungs(state)[-1])), n + 1)
    assert len(points["Random Configuration"]) == 250
    page.check()
    page.picture("footprint")


def test_parallel_coordinates(page: Page, state: SearchState, space: dict[str, int]) -> None:
    page.open("parallel_coordinates")
    page.process()
    (trace,) = page.traces()
    labels = [dimension["label"] for dimension in trace["dimensions"]]
    assert set(labels) == {*space, "error"}
    errors = trace["dimensions"][labels.index("error")]["values"]
    expected = [trial.error for trial in successes(state, rungs(state)[-1])]
    assert sorted(errors) == pytest.approx(sorted(expected))
    page.check()
    page.picture("parallel-coordinates")


def test_pareto_front(page: Page, state: SearchState) -> None:
    page.open("pareto_front")
    points = [(x, y) for trace in page.traces() for x, y in zip(trace["x"], trace["y"], strict=True)]
    trials = successes(state, rungs(state)[-1])
    assert min(x for x, _ in points) == pytest.approx(best(state))
    assert min(y for _, y in points) == pytest.approx(min(trial.metrics["macs"] for trial in trials))
    page.check()
    page.picture("pareto-front")


def test_ablation_paths(page: Page, space: dict[str, int]) -> None:
    page.open("ablation_paths")
    page.process()
    (path,) = page.traces(0)
    assert path["x"][0] == "default"
    assert sorted(path["x"][1:]) == sorted(space), "every change, the last one too"
    assert path["y"][-1] < path["y"][0]
    page.check()
    page.picture("ablation-paths")


@pytest.mark.parametrize("plugin", ["configurations", "ccube"])
def test_the_other_pages_are_not_empty(page: Page, plugin: str) -> None:
    page.open(plugin)
    assert page.traces()
    page.check()


def test_partial_dependence(page: Page) -> None:
    page.open("pdp")
    page.process()
    assert len(page.traces()) > 2
    page.check()


def test_no_page_offers_budgets_combined(page: Page) -> None:
    for plugin in ("importances", "pareto_front", "cost_over_time"):
        page.open(plugin)
        page.wait(lambda: "Budget" in page.text, "a choice of budgets")
        assert "Combined" not in page.driver.page_source.split("<main")[1]
