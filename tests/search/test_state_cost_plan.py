from __future__ import annotations

import io
import math
import random
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import search_spaces
from nas.execution.messages import Facts, Measurement
from nas.optimizers.protocol import Fidelity
from nas.run import journal
from nas.run.events import parse
from nas.run.folder import Run
from nas.run.search_file import Data, Hardware
from nas.run.state import SearchState, Trial
from nas.search import plan, plan_view
from nas.search.duration import DurationModel
from nas.search.settings import BudgetSettings, SearchSettings
from search_spaces.base import config_id


def test_the_fold_does_not_depend_on_where_it_is_cut(finished_run: Path) -> None:
    events = journal.read(Run(finished_run).journal).events
    whole = SearchState.of(events)
    half = SearchState.of(events[: len(events) // 2])
    for event in events[len(events) // 2 :]:
        half.apply(event)
    assert half == whole


def test_the_fold_counts_what_the_journal_says(finished_run: Path) -> None:
    events = journal.read(Run(finished_run).journal).events
    state = SearchState.of(events)
    ended = [e for e in events if e.kind == "ended" and not e.cached]
    assert state.finished == len(ended) == 150
    assert len(state.crashed) == sum(e.status == "crashed" for e in ended) > 0
    assert state.busy_seconds == pytest.approx(sum(e.seconds for e in ended))
    assert not state.running_trials()
    assert state.stopped == "trials"


def test_events_of_a_later_version_are_passed_over() -> None:
    state = SearchState.of([parse({"event": "invented-later", "time": "", "clock": 3.0})])
    assert state.clock == 3.0


def trained(config: dict[str, Any], seconds: float, epochs: int = 3) -> Trial:
    curve = {n: {"train_seconds": seconds, "val_seconds": 0.0} for n in range(1, epochs + 1)}
    trial = Trial(1, config_id(config), config, epochs, "random", status="success", curve=curve)
    trial.seconds = seconds * epochs + 0.5
    return trial


def true_seconds(config: dict[str, Any]) -> float:
    return 2.0 * math.exp(0.3 * (config["kernel_mid"] - 3) / 2 + 0.2 * config["bottleneck"])


def test_the_cost_of_unseen_configurations_is_predicted_on_the_safe_side() -> None:
    space = search_spaces.get("nexception")
    model = DurationModel()
    assert model.seconds("x", space.default, 9) == 0.0
    seen, unseen = space.sample(80, seed=0)[:40], space.sample(80, seed=0)[40:]
    for config in seen:
        model.observe(trained(config, true_seconds(config)))
    for config in unseen:
        truth = 0.5 + 9 * true_seconds(config)
        assert 0.9 * truth < model.seconds(config_id(config), config, 9) < 2 * truth


def test_the_cost_of_a_number_never_seen_is_predicted_by_its_size() -> None:
    """Widths and depths are nearly all new; and some are there under a condition only."""
    rng = random.Random(0)

    def draw() -> dict[str, Any]:
        config = {"width": rng.randint(8, 512), "stem": rng.choice(["conv", "patch"]), "x": rng.random()}
        return config | ({"patch": rng.randint(1, 4)} if config["stem"] == "patch" else {})

    def seconds(config: dict[str, Any]) -> float:
        return 0.01 * config["width"] / config.get("patch", 1)

    model = DurationModel()
    for _ in range(60):
        config = draw()
        model.observe(trained(config, seconds(config)))
    for _ in range(40):
        config = draw()
        truth = 0.5 + 9 * seconds(config)
        assert 0.8 * truth < model.seconds(config_id(config), config, 9) < 2.5 * truth


def test_a_configuration_seen_before_is_predicted_by_its_own_speed() -> None:
    space = search_spaces.get("nexception")
    model = DurationModel()
    for index, config in enumerate(space.sample(20, seed=1)):
        model.observe(trained(config, 1.0 + 10 * (index == 3)))
    slow = space.sample(20, seed=1)[3]
    assert model.seconds(config_id(slow), slow, 2) == pytest.approx(0.5 + 1.1 * 11.0 * 2, rel=0.05)


def test_crashed_trials_teach_nothing_about_cost() -> None:
    model = DurationModel()
    trial = trained(search_spaces.get("nexception").default, 5.0)
    trial.status = "crashed"
    model.observe(trial)
    assert not model.known


POINT = Measurement(train_seconds=9.0, val_seconds=1.0, build_seconds=0.8, checkpoint_bytes=1000)
FACTS = Facts(Data(name="x", train_images=9, val_images=1), Hardware(device="cpu"), {}, 16, {})


@pytest.mark.parametrize("brackets", ["halving", "hyperband"])
def test_a_round_of_the_plan_is_a_round_of_the_search(simulate: Callable[..., Any], brackets: str) -> None:
    """The plan's rung table against what real SMAC asks for in whole rounds."""
    from nas.optimizers.settings import OptimizerSettings

    fidelity = Fidelity(1, 9, 3)
    expected = plan.bracket(fidelity, "smac", brackets)
    by_rung: dict[int, float] = {}
    for (epochs, _), count in expected.items():
        by_rung[epochs] = by_rung.get(epochs, 0) + count
    rounds = 3
    trials = round(rounds * sum(expected.values()))
    simulation = simulate(smac=OptimizerSettings(brackets=brackets), trials=trials)
    simulation.run()
    state = SearchState.of(journal.read(Run(simulation.path).journal).events)
    asked = [t for t in state.trials.values() if t.origin != "baseline"][:trials]
    for epochs, count in by_rung.items():
        assert sum(t.epochs == epochs for t in asked) == pytest.approx(rounds * count, abs=3)


def test_the_plan_adds_up() -> None:
    settings = SearchSettings(budget=BudgetSettings(budget="10h"), fidelity=Fidelity(5, 45, 3))
    measured = dict.fromkeys(("cheapest", "default", "costliest", "typical"), POINT)
    made = plan.arrange(settings, FACTS, measured)
    assert made.baseline_seconds == pytest.approx(45 * 10 + 3, abs=1)
    assert sum(rung.trials * rung.seconds for rung in made.rungs) + made.baseline_seconds == pytest.approx(
        36_000
    )
    assert made.trials == pytest.approx(made.least) == pytest.approx(made.most)
    assert [rung.new_epochs for rung in made.rungs] == [5, 10, 30]


@pytest.mark.parametrize(
    ("device", "cores", "threads", "workers", "advised"),
    [
        ("cpu", 2, 1, 1, "2"),
        ("cpu", 16, 4, 3, "4"),
        ("cpu", 16, 4, 4, ""),
        ("cpu", 3, 2, 1, ""),
        ("cuda:0 (Tesla)", 16, 1, 1, ""),
    ],
)
def test_the_plan_says_when_cores_would_be_idle(
    device: str, cores: int, threads: int, workers: int, advised: str
) -> None:
    hardware = Hardware(device=device, cores=cores, threads=threads)
    measured = dict.fromkeys(("cheapest", "default", "costliest", "typical"), POINT)
    made = plan.arrange(SearchSettings(), replace(FACTS, hardware=hardware), measured, workers)
    console = Console(record=True, width=100, file=io.StringIO())
    plan_view.show(made, console)
    assert re.findall(r"--trial-workers (\d+)", console.export_text()) == ([advised] if advised else [])
