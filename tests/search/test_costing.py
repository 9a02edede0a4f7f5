"""A search under limits and with two objectives: what it trains, journals, crowns and writes."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

import search_spaces
from analysis import frames
from analysis.deepcave import exporter
from analysis.figures import front as figures
from analysis.importance.by_objective import by_objective
from analysis.tradeoffs import effects, objectives, volume_over_time
from nas.api.runs import open_run
from nas.confirm import candidates
from nas.execution.simulated import SimulatedResult
from nas.optimizers.objectives import Costs
from nas.optimizers.protocol import Fidelity
from nas.run.folder import Run
from nas.run.objectives import Objectives
from nas.run.pick import pick
from nas.run.state import SearchState
from nas.search.costing import SearchCosts
from nas.status.watcher import Watcher
from nas.util.errors import UserError
from nas.view import front
from search_spaces.base import Config
from tests.conftest import Simulation, synthetic

FIDELITY = Fidelity(1, 9, 3)
LIMIT = 12e6


def kernels(config: Config) -> float:
    return 1e6 * (config["kernel_mid"] + config["kernel_down"])  # type: ignore[operator]


def problem(config: Config, epochs: int, seed: int) -> SimulatedResult:
    """The wider the kernels the better, so that accuracy has its price."""
    answer = synthetic(config, epochs, seed)
    errors = tuple(None if e is None else min(e + 0.4 - kernels(config) / 5e7, 1.0) for e in answer.errors)
    return SimulatedResult(errors, answer.seconds, answer.params, kernels(config))


def saved(config: Config) -> float:
    """A cost that the base architecture, whose kernels are the smallest, has most of."""
    return 30e6 - kernels(config)


def search_costs(
    prefer: str = "error",
    limits: dict[str, float] | None = None,
    counted: Callable[[Config], float] = kernels,
) -> SearchCosts:
    found = Objectives(("macs",), limits or {}, prefer)
    costs = Costs(("macs",), found.limits, lambda configs: [{"macs": counted(one)} for one in configs])
    return SearchCosts(found, costs, None)  # type: ignore[arg-type]  # nothing is counted


def search(path: Path, costs: SearchCosts, trials: int = 60, problem: Any = problem, **options: Any) -> Run:
    """Searches in simulated time, anew or from where the journal ends."""
    Simulation(path, problem, trials=trials, costs=costs, **options).run()
    return Run.open(path)


def state(run: Run) -> SearchState:
    return SearchState.of(run.read_journal().events)


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return search(tmp_path_factory.mktemp("runs") / "limited", search_costs(limits={"macs": LIMIT}))


def test_nothing_but_the_baseline_is_trained_beyond_a_limit(limited: Run) -> None:
    trials = state(limited).trials.values()
    assert len(trials) >= 60
    assert all(kernels(trial.config) <= LIMIT for trial in trials if trial.origin != "baseline")
    assert all(trial.metrics["cost_macs"] == kernels(trial.config) for trial in trials if trial.finished)


def test_the_front_file_holds_the_front(limited: Run) -> None:
    written = orjson.loads(limited.front_json.read_bytes())
    expected = Objectives(("macs",), {"macs": LIMIT}).front(state(limited), 9)
    assert [member["trial"] for member in written["members"]] == [trial.trial for trial in expected]
    assert written["leader"] == orjson.loads(limited.incumbent_json.read_bytes())["trial"]
    assert written["leader"] == min(written["members"], key=lambda member: member["error"])["trial"]
    assert 0 < written["hypervolume"] < 1


def test_a_baseline_beyond_the_limit_never_leads(tmp_path: Path) -> None:
    base = saved(search_spaces.get("nexception").default)
    run = search(tmp_path / "run", search_costs(limits={"macs": base - 1}, counted=saved), trials=40)
    found = state(run)
    assert found.baseline(9) is not None
    assert found.incumbents
    assert not {found.trials[number].origin for number in found.incumbents} & {"baseline"}


def test_the_knee_leads_if_preferred_and_a_cut_search_goes_on_as_the_whole_one(tmp_path: Path) -> None:
    whole = search(tmp_path / "whole", search_costs("knee"), 50)
    cut = Run(Path(shutil.copytree(whole.path, tmp_path / "cut")))
    lines = whole.journal.read_bytes().splitlines(keepends=True)
    cut.journal.write_bytes(b"".join(lines[: len(lines) // 2]))
    search(cut.path, search_costs("knee"), 50)
    asked = [[(t.config_id, t.epochs, t.error) for t in state(run).trials.values()] for run in (whole, cut)]
    assert asked[0] == asked[1]
    written = orjson.loads(whole.front_json.read_bytes())
    assert written["leader"] == written["knee"] == state(whole).incumbent


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("best", "must be error, knee, trial=N or a limit"),
        ("trial=x", "must be error, knee"),
        ("max-params=5M", "params was not weighed; this run weighed macs"),
        ("max-macs=1", "the cheapest network of the front has"),
        ("max-macs=much", "not a number above 0"),
    ],
)
def test_what_cannot_be_picked_is_refused(limited: Run, text: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        pick(text, Objectives(("macs",), {"macs": LIMIT}), state(limited), 9)
    assert said in str(caught.value)


def test_networks_are_picked_by_name_and_limit(limited: Run) -> None:
    costs, found = Objectives(("macs",), {"macs": LIMIT}), state(limited)
    members = costs.front(found, 9)
    assert pick("error", costs, found, 9) == members[-1].trial
    assert pick(f"max-macs={members[0].metrics['cost_macs']:.0f}", costs, found, 9) == members[0].trial
    assert pick("trial=3", None, found, 9) == 3
    with pytest.raises(UserError, match="searched for the error alone"):
        pick("knee", None, found, 9)


def test_what_is_confirmed_is_spread_over_the_front(limited: Run) -> None:
    costs, found = Objectives(("macs",), {"macs": LIMIT}), state(limited)
    default = search_spaces.get("nexception").default
    members = [t.trial for t in costs.front(found, 9) if t.origin != "baseline"]

    def chosen(top: int | None) -> list[int | None]:
        return [one.trial for one in candidates.choose(found, default, 9, top, limited.path, "", costs)]

    assert chosen(None)[:-1] == members
    assert chosen(2)[:-1] == [members[0], members[-1]]
    assert chosen(1)[:-1] == members[-1:]


def test_views_python_and_deepcave_show_the_front(limited: Run) -> None:
    snapshot = Watcher(limited.path).look()
    assert snapshot.front is not None
    assert f"{snapshot.front.size} network" in front.words(snapshot.front)
    assert "hypervolume" in front.words(snapshot.front)
    assert "on the front" in front.standing(
        Objectives(("macs",)).front(state(limited), 9)[0], state(limited), Objectives(("macs",))
    )
    assert [member.costs["macs"] for member in open_run(limited.path).front] == sorted(
        member.costs["macs"] for member in open_run(limited.path).front
    )
    exported = exporter.snapshot(limited, state(limited))
    assert [one["name"] for one in exported["objectives"]][-1] == "MACs (reduced)"
    costs = [trial["costs"] for trial in exported["trials"] if trial["costs"]]
    assert all(len(row) == len(exported["objectives"]) and row[-1] > 0 for row in costs)


def test_the_report_knows_what_buys_what(limited: Run) -> None:
    run = frames.load(limited.path)
    costs = objectives(run)
    assert costs is not None
    found = effects(run, costs).set_index(["hyperparameter", "value"])
    cheaper = found.loc[("kernel_mid", 3)] if ("kernel_mid", 3) in found.index else None
    assert cheaper is None or cheaper["macs"] < 1.05
    grown = volume_over_time(run, costs)["hypervolume"]
    assert grown.is_monotonic_increasing
    important = by_objective(run, costs, trees=8, seed=0)
    of_cost = important[important["weight"] == 0].set_index("hyperparameter")["importance"]
    assert set(of_cost.nlargest(2).index) == {"kernel_mid", "kernel_down"}
    drawn = figures.front(run, costs, None), figures.choices(run, costs)
    for figure in (*drawn, figures.importances(important, costs)):
        assert figure is not None
        figure.savefig(io.BytesIO())


def test_a_run_of_the_error_alone_has_no_front(simulate: Callable[..., Any]) -> None:
    simulation = simulate(trials=8)
    simulation.run()
    run = Run.open(simulation.path)
    assert not run.front_json.exists()
    assert "front" not in Watcher(run.path).look().to_json()
    assert not any("cost_" in name for trial in state(run).trials.values() for name in trial.metrics)
    with pytest.raises(UserError, match="minimised the error alone"):
        _ = open_run(run.path).front
