"""A confirmation goes on from what the search has trained again already."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis import frames, seeds
from analysis.deepcave.exporter import snapshot
from nas.confirm import record
from nas.run import journal
from nas.run.folder import Run
from nas.run.repair import finished
from nas.run.state import SearchState
from nas.view import summary
from nas.view.lines import over_seeds
from nas.view.snapshot import take
from tests.confirm.test_confirmation import execute
from tests.search.test_replicates import TWO, noisy


@pytest.fixture(scope="module")
def searched(simulation: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("runs") / "searched"
    simulation(path, problem=noisy, trials=80, replicates=0.2, fidelity=TWO).run()
    return path


@pytest.fixture
def run(searched: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(searched, tmp_path / "run"))


def state_of(path: Path) -> SearchState:
    return SearchState.of(journal.read(Run(path).journal).events)


def test_what_the_search_repeated_is_not_trained_again(run: Path) -> None:
    trained: list[int] = []

    def watched(config: dict[str, Any], epochs: int, seed: int) -> Any:
        trained.append(seed)
        return noisy(config, epochs, seed)

    state = state_of(run)
    found, reason = execute(run, watched, top=3, seeds=4)
    assert reason == "done"
    rows = found.configurations
    known = {(t.config_id, t.repeat): t for t in state.repeats(9) if t.error is not None and t.repeat <= 4}
    saved = sum((row.config_id, repeat) in known for row in rows for repeat in range(1, 5))
    assert saved > 0
    assert len(trained) == 16 - saved
    for row in rows:
        for repeat, error in enumerate(row.errors, start=1):
            one = known.get((row.config_id, repeat))
            numbers = row.repeated_trials or [None] * 4
            assert (one.trial if one else None) == numbers[repeat - 1]
            if one:
                assert error == one.error
                assert row.trials[repeat - 1] is None
    several = seeds.seeds(frames.load(run))
    assert several is not None
    counts = several.curves[several.curves["epoch"] == 9].groupby("label")["repeat"].count()
    assert (counts == 4).all()


def test_candidates_are_configurations_and_not_seeds(run: Path) -> None:
    found, _ = execute(run, noisy, top=5, seeds=1)
    names = [row.config_id for row in found.configurations]
    assert len(set(names)) == len(names) == 6
    lead = state_of(run).lead
    assert lead is not None
    assert lead.trial in [row.searched_trial for row in found.configurations]
    assert record.Record.of([]).searched == {}


def test_frames_keep_seeds_apart_from_trials(searched: Path) -> None:
    run, state = frames.load(searched), state_of(searched)
    repeats = [t for t in state.repeats(9) if t.error is not None]
    assert len(run.replicates) == len(repeats) > 0
    assert not run.measured["config_id"][run.measured["epochs"] == 9].duplicated().any()
    assert set(run.trials["replicate"]) >= {0, 1}
    lead = state.lead
    assert lead is not None
    assert run.incumbent is not None
    assert run.incumbent["trial"] == lead.trial
    assert run.incumbent["error"] == lead.error
    assert run.incumbents["seeds"].iloc[-1] == lead.seeds
    assert run.trials.loc[lead.trial, "error"] == state.trials[lead.trial].error


def test_deepcave_gets_a_seed_a_training(searched: Path) -> None:
    run = Run.open(searched)
    trials = snapshot(run, state_of(searched))["trials"]
    keys = [(one["config"], one["budget"], one.get("repeat", 0)) for one in trials]
    assert len(set(keys)) == len(keys)
    assert sum(key[2] > 0 for key in keys) == len(state_of(searched).repeats(9))


def test_views_say_with_how_many_seeds(searched: Path) -> None:
    from rich.console import Console

    from nas.view import panel

    run, state = Run.open(searched), state_of(searched)
    lead = state.lead
    assert lead is not None
    taken = take(state, run.read_search(), name="x", status="stopped", used=1.0)
    assert taken.incumbent is not None
    assert (taken.incumbent.error, taken.incumbent.seeds) == (lead.error, lead.seeds)
    assert taken.incumbent.error_interval == (lead.low, lead.high)
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(panel.draw(taken))
    summary.show(run, run.read_search(), state, "trials", console)
    text = console.export_text()
    assert text.count(over_seeds(lead.seeds, lead.interval)) >= 2
    best = summary.ranking(state)
    assert best[0].trial == lead.trial
    assert not any(one.repeat for one in best)


def test_a_salvaged_seed_is_told_from_the_others(searched: Path) -> None:
    events = journal.read(Run(searched).journal).events
    results = finished(events, [])
    assert len({(one.config_id, one.epochs) for one in results}) == len(results)
    assert any("_" in one.config_id for one in results)


def test_a_training_with_a_further_seed_is_called_what_it_is(simulate: Callable[..., Any]) -> None:
    from nas.view.lines import describe

    said: list[str] = []

    class Ear:
        def event(self, event: Any, state: SearchState) -> None:
            said.append(describe(event, state) or "")

        def note(self, text: str) -> None:
            pass

        def tick(self) -> None:
            pass

    simulate(problem=noisy, trials=60, replicates=0.2, fidelity=TWO).run(Ear())
    assert any("(replicate, further seed 1)" in line for line in said)
    assert any(line.startswith("incumbent") and " seed" in line for line in said)
