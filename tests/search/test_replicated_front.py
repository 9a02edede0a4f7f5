"""Further seeds where several objectives are weighed: of whom, and what the front is then."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.frames import load
from analysis.tradeoffs import front, objectives
from nas.execution.simulated import SimulatedResult
from nas.optimizers.protocol import Fidelity
from nas.run import incumbent
from nas.run.folder import Run
from nas.run.objectives import COST, Objectives
from nas.run.posterior import ErrorEstimate, Posterior, posterior
from nas.run.state import Trial
from nas.search.costing import SearchCosts
from nas.search.replicates import most_valuable
from search_spaces.base import Config
from tests.conftest import noise
from tests.search.test_costing import kernels, search, search_costs, state

LIMIT = 15e6


def noisy(config: Config, epochs: int, seed: int) -> SimulatedResult:
    """Wider kernels are better by about as much as seeds differ."""
    final = 0.5 - kernels(config) / 1e8 + 0.06 * (noise(seed, *sorted(config.items())) - 0.5)
    errors = tuple(final + 0.3 / (1 + epoch) for epoch in range(1, epochs + 1))
    return SimulatedResult(errors, 1.0, 1, kernels(config))


def searched(path: Path, costs: SearchCosts, trials: int) -> Run:
    return search(path, costs, trials, problem=noisy, replicates=0.3, fidelity=Fidelity(3, 9, 3))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return searched(tmp_path_factory.mktemp("runs") / "r", search_costs(limits={"macs": LIMIT}), 90)


def test_members_of_the_front_are_trained_again_within_the_share(run: Run) -> None:
    found = state(run)
    repeats = found.repeats(9)
    assert repeats
    assert all(kernels(trial.config) <= LIMIT for trial in repeats)
    assert 9 * len(repeats) <= 0.3 * sum(t.epochs for t in found.trials.values())
    assert all(trial.metrics[COST + "macs"] == kernels(trial.config) for trial in repeats if trial.finished)


def test_the_front_is_by_expected_errors_and_all_files_agree(run: Run) -> None:
    found, costs = state(run), Objectives(("macs",), {"macs": LIMIT})
    expected = {one.trial.trial: one.mean for one in posterior(found, 9).estimates}
    members = orjson.loads(run.front_json.read_bytes())
    assert [m["trial"] for m in members["members"]] == [t.trial for t in costs.front(found, 9)]
    assert all(m["error"] == expected[m["trial"]] for m in members["members"])
    lead = incumbent.leader(found, 9, costs)
    said = orjson.loads(run.incumbent_json.read_bytes())
    assert lead is not None
    assert members["leader"] == lead.trial.trial == said["trial"]
    assert said["error"] == lead.error == min(m["error"] for m in members["members"])


def test_the_report_draws_the_same_front(run: Run) -> None:
    loaded = load(run.path)
    costs = objectives(loaded)
    assert costs is not None
    drawn = front(loaded, costs)
    members = orjson.loads(run.front_json.read_bytes())["members"]
    assert drawn["trial"].tolist() == [member["trial"] for member in members]
    assert drawn["error"].tolist() == [member["error"] for member in members]


def test_a_resumed_search_repeats_the_same(run: Run, tmp_path: Path) -> None:
    for trials in (47, 90):
        resumed = searched(tmp_path / "r", search_costs(limits={"macs": LIMIT}), trials)

    def ledger(one: Run) -> list[Any]:
        return [(t.config_id, t.epochs, t.repeat, t.error) for t in state(one).trials.values() if t.finished]

    assert ledger(resumed) == ledger(run)


def belief(number: int, mean: float, cost: float) -> ErrorEstimate:
    trial = Trial(number, str(number), {}, 9, "x", error=mean, metrics={COST + "macs": cost})
    return ErrorEstimate(trial, (mean,), 0, mean, 0.1, crashed=False)


def told(*points: tuple[float, float]) -> int:
    estimates = tuple(belief(place, *point) for place, point in enumerate(points))
    _, trial = most_valuable(Posterior(estimates, 0.05, 0.1, repeated=True), Objectives(("macs",)))
    return trial.trial


def test_who_may_change_the_front_is_trained_again() -> None:
    """Trial 2 is all but on the front; those on it are far apart."""
    assert told((0.5, 1.0), (0.3, 2.0), (0.31, 3.0), (0.1, 4.0)) in (1, 2)
    assert told((0.5, 1.0), (0.3, 2.0), (0.9, 3.0), (0.29, 4.0)) in (1, 3)


def test_a_network_alone_at_its_cost_needs_no_further_seed() -> None:
    """The cheapest has nothing to beat, and nothing that it may beat is near."""
    assert told((0.9, 1.0), (0.30, 2.0), (0.305, 2.5)) in (1, 2)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 5)), min_size=1, max_size=12))
def test_the_worth_of_a_seed_is_a_number_for_any_points(points: list[tuple[int, int]]) -> None:
    estimates = tuple(belief(place, error / 10, cost) for place, (error, cost) in enumerate(points))
    worth, trial = most_valuable(Posterior(estimates, 0.05, 0.1, repeated=False), Objectives(("macs",)))
    assert math.isfinite(worth)
    assert worth >= 0
    assert trial in [one.trial for one in estimates]
