"""DeepCAVE's real evaluators on runs whose truth is known."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import search_spaces
from analysis.deepcave import environment
from analysis.deepcave.bridge import evaluate
from nas.execution.simulated import SimulatedResult
from nas.run.folder import Run
from nas.run.state import SearchState
from nas.util.errors import UserError

SPACE = search_spaces.get("nexception").hyperparameters
TWO_CHOICES = [name for name, hp in SPACE.items() if len(hp.choices) == 2]


def request(method: str, budget: int | None = 1, **more: Any) -> dict[str, Any]:
    return {"method": method, "budget": budget, "trees": 16, **more}


@pytest.fixture(scope="module")
def state(finished_run: Path) -> SearchState:
    return SearchState.of(Run.open(finished_run).read_journal().events)


def successes(state: SearchState, epochs: int) -> list[int]:
    return [
        trial.trial
        for trial in state.trials.values()
        if trial.status == "success" and trial.epochs == epochs and not trial.cached
    ]


@pytest.fixture(scope="module")
def answers(finished_run: Path, state: SearchState) -> dict[str, dict[str, Any]]:
    """One start of the environment answers everything that the tests below ask."""
    some = successes(state, 1)
    requests = {
        "fanova": request("fanova"),
        "fanova again": request("fanova"),
        "fanova other seed": request("fanova", seed=1),
        "pairs": request("fanova_pairs"),
        "lpi": request("lpi"),
        "lpi_choices": request("lpi_choices"),
        "ablation": request("ablation"),
        "ablation to another": request("ablation", incumbent=some[5]),
        "top-1": request("fanova", objective="top-1"),
        "all rungs": request("fanova", budget=None),
        "third rung": request("fanova", budget=3),
        "bootstrap": request("fanova", trials=[*some[:20], *some[:20], some[0], *state.crashed]),
        "no such budget": request("fanova", budget=7),
        "no such method": request("magic"),
        "no such objective": request("fanova", objective="taste"),
        "one trial": request("lpi", trials=some[:1]),
        "only crashed": request("lpi", trials=state.crashed),
    }
    counted: list[int] = []
    found = evaluate(finished_run, list(requests.values()), progress=counted.append)
    assert counted == list(range(1, len(requests) + 1))
    return dict(zip(requests, found, strict=True))


def test_fanova_finds_what_matters_most(answers: dict[str, Any]) -> None:
    values = answers["fanova"]["values"]
    assert set(values) == set(SPACE)
    assert max(values, key=lambda name: values[name][0]) == "bottleneck"
    assert sum(mean for mean, _ in values.values()) <= 1.0 + 1e-6
    assert all(0 <= std < 1 for _, std in values.values())


def test_answers_repeat_and_follow_the_seed(answers: dict[str, Any]) -> None:
    assert answers["fanova"]["values"] == answers["fanova again"]["values"]
    assert answers["fanova"]["values"] != answers["fanova other seed"]["values"]


def test_pairs_are_interactions_of_two(answers: dict[str, Any]) -> None:
    values = answers["pairs"]["values"]
    expected = {frozenset(pair) for pair in itertools.combinations(SPACE, 2)}
    assert {frozenset(name.split(" x ")) for name in values} == expected
    assert all(mean >= 0 for mean, _ in values.values())


def test_stock_lpi_is_blind_to_two_choices_and_ours_is_not(answers: dict[str, Any]) -> None:
    stock, ours = answers["lpi"]["values"], answers["lpi_choices"]["values"]
    assert all(stock[name] == [0.0, 0.0] for name in TWO_CHOICES)
    assert max(ours, key=lambda name: ours[name][0]) == "bottleneck"
    assert ours["bottleneck"][0] > 0.5


def test_an_ablation_path_changes_everything_once(answers: dict[str, Any], state: SearchState) -> None:
    path = answers["ablation"]["values"]
    assert path[0][0] == "default"
    assert path[1][0] == "bottleneck"
    assert {name for name, *_ in path[1:]} == set(SPACE)
    assert path[-1][1] < path[0][1]
    best = min(state.trials[number].error or 1.0 for number in successes(state, 1))
    assert path[-1][1] == pytest.approx(best, abs=0.05)


def test_ablation_leads_to_the_configuration_asked_for(answers: dict[str, Any]) -> None:
    other = answers["ablation to another"]
    assert "error" in other or other["values"][-1][1] != answers["ablation"]["values"][-1][1]


def test_an_objective_to_be_raised_gives_the_same_shares(answers: dict[str, Any]) -> None:
    error, top1 = answers["fanova"]["values"], answers["top-1"]["values"]
    assert {k: v[0] for k, v in top1.items()} == pytest.approx({k: v[0] for k, v in error.items()}, abs=0.02)


def test_only_successful_trials_count(answers: dict[str, Any], state: SearchState) -> None:
    crashed = [state.trials[number] for number in state.crashed]
    assert any(trial.epochs == 3 for trial in crashed)
    assert answers["fanova"]["n_trials"] == len(successes(state, 1))
    assert answers["third rung"]["n_trials"] == len(successes(state, 3))
    reached = {state.trials[n].config_id for epochs in (1, 3, 9) for n in successes(state, epochs)}
    assert answers["all rungs"]["n_trials"] == len(reached)
    assert answers["all rungs"]["budget"] is None


def test_a_bootstrap_counts_repetitions_and_drops_crashes(answers: dict[str, Any]) -> None:
    assert answers["bootstrap"]["n_trials"] == 41


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no such budget", "no successful trial at budget 7"),
        ("no such method", "method: must be one of fanova"),
        ("no such objective", "objective: must be one of error"),
        ("one trial", "no two of its trials (1) at budget 1 differ in error"),
        ("only crashed", "no successful trial"),
    ],
)
def test_a_request_that_cannot_be_answered_says_why(answers: dict[str, Any], name: str, words: str) -> None:
    assert words in answers[name]["error"]
    assert "\n" not in answers[name]["error"]


def only_pool_and_kernel(config: dict[str, Any], epochs: int, seed: int) -> SimulatedResult:
    """The last of three choices is the best, so an encoding that moves it is noticed."""
    error = {"max": 0.60, "blur": 0.50, "conv": 0.10}[config["pool"]] + 0.02 * (config["kernel_mid"] == 9)
    return SimulatedResult((error + seed % 100 * 1e-5,) * epochs, seconds=1.0)


def test_ablation_asks_its_forest_in_the_encoding_it_learned(simulate: Any) -> None:
    simulation = simulate("three", problem=only_pool_and_kernel, optimizer="random", trials=60)
    simulation.run()
    (answer,) = evaluate(simulation.path, [request("ablation", budget=9, trees=32)])
    path = {name: cost for name, cost, _ in answer["values"]}
    assert list(path)[:2] == ["default", "pool"]
    assert path["default"] == pytest.approx(0.60, abs=0.03)
    assert path["pool"] == pytest.approx(0.10, abs=0.05)


def test_fanova_agrees_with_an_additive_truth(simulate: Any) -> None:
    effects = {"bottleneck": 0.3, "se": 0.2, "stem": 0.1}

    def additive(config: dict[str, Any], epochs: int, seed: int) -> SimulatedResult:
        base = {name: SPACE[name].default for name in effects}
        error = 0.2 + sum(effect * (config[name] != base[name]) for name, effect in effects.items())
        return SimulatedResult((error + seed % 100 * 1e-5,) * epochs, seconds=1.0)

    simulation = simulate("additive", problem=additive, optimizer="random", trials=150)
    simulation.run()
    (answer,) = evaluate(simulation.path, [request("fanova", budget=9, trees=32)])
    variance = {name: effect**2 / 4 for name, effect in effects.items()}  # of a fair coin
    for name, value in variance.items():
        assert answer["values"][name][0] == pytest.approx(value / sum(variance.values()), abs=0.08)
    others = [answer["values"][name][0] for name in SPACE if name not in effects]
    assert np.max(others) < 0.03


def test_no_requests_need_no_environment(finished_run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "ensure", None)
    assert evaluate(finished_run, []) == []


def test_a_folder_that_is_no_run_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a run folder"):
        evaluate(tmp_path, [request("fanova")])


def test_an_environment_that_dies_is_one_line(
    finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho first >&2\necho no space left >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(environment, "ensure", lambda: broken)
    with pytest.raises(UserError, match="stopped with exit code 3: no space left"):
        evaluate(finished_run, [request("fanova")])
