"""Low rungs that mislead are noticed, left out and taken up again, as a function of the journal."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tyro

from analysis.frames import load
from analysis.report import findings
from nas.execution.simulated import SimulatedResult
from nas.optimizers.protocol import Fidelity
from nas.optimizers.settings import OptimizerSettings
from nas.run import journal
from nas.run.folder import Run
from nas.run.rungs import judged
from nas.run.state import BASELINE, SearchState
from nas.search.settings import SearchSettings
from tests.conftest import noise, synthetic, true_error


def opposed(config: dict[str, Any], epochs: int, seed: int) -> SimulatedResult:
    """The better in the end, the worse at first."""
    final = true_error(config) + 0.01 * (noise(seed) - 0.5)
    return SimulatedResult(tuple(final if epoch == 9 else 0.9 - final for epoch in range(1, epochs + 1)), 1.0)


class Notes:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def event(self, *_: Any) -> None:
        pass

    def tick(self) -> None:
        pass

    def note(self, text: str) -> None:
        self.lines.append(text)


def asked(path: Path) -> list[tuple[str, int, str]]:
    state = SearchState.of(journal.read(Run(path).journal).events)
    return [(t.config_id, t.epochs, t.origin) for t in state.trials.values() if t.origin != BASELINE]


def first_epochs(path: Path) -> list[int]:
    """Epochs at which new configurations began."""
    return [epochs for _, epochs, origin in asked(path) if origin != "promotion"]


def test_where_low_rungs_mislead_configurations_begin_at_the_highest(simulate: Callable[..., Any]) -> None:
    notes = Notes()
    simulation = simulate(problem=opposed, trials=40)
    simulation.run(notes)
    begun = first_epochs(simulation.path)
    assert begun[0] == 9, "the base architecture, which is trained to the end anyhow"
    assert set(begun[1:9]) == {1}
    assert set(begun[9:]) == {9}
    (said,) = notes.lines
    assert said.startswith("1 epoch tells nothing about 9 (correlation about ")
    assert said.endswith("here: configurations begin at 9 epochs")


def test_where_they_tell_something_nothing_is_left_out(simulate: Callable[..., Any]) -> None:
    notes = Notes()
    simulation = simulate(problem=synthetic, trials=60)
    simulation.run(notes)
    assert set(first_epochs(simulation.path)[1:]) == {1}
    assert notes.lines == []


def test_they_are_taken_up_again(simulate: Callable[..., Any]) -> None:
    """The first configurations to reach the end mislead; the others do not."""
    calls: list[str] = []

    def at_first(config: dict[str, Any], epochs: int, seed: int) -> SimulatedResult:
        calls.append(str(config)) if str(config) not in calls else None
        return (opposed if calls.index(str(config)) < 9 else synthetic)(config, epochs, seed)

    notes = Notes()
    simulation = simulate(problem=at_first, trials=80)
    simulation.run(notes)
    begun = first_epochs(simulation.path)
    assert 9 in begun[9:]
    assert begun[-1] < 9
    assert any("begin at 9 epochs" in line for line in notes.lines[:-1])
    assert "begin at 9 epochs" not in notes.lines[-1]


def test_a_search_that_was_killed_decides_as_the_uninterrupted_one(simulate: Callable[..., Any]) -> None:
    simulation = simulate(problem=opposed, trials=30)
    simulation.run()
    whole, lines = asked(simulation.path), Run(simulation.path).journal.read_bytes().splitlines(keepends=True)
    switch = next(n for n, line in enumerate(lines) if b'"epochs":9,"origin":"acquisition' in line)
    for cut in (switch // 2, switch - 2, switch, switch + 9):
        Run(simulation.path).journal.write_bytes(b"".join(lines[:cut]))
        simulation.run()
        assert asked(simulation.path) == whole


def test_with_many_slots_it_is_noticed_too(simulate: Callable[..., Any]) -> None:
    simulation = simulate(problem=opposed, trials=80, slots=4)
    simulation.run()
    assert set(first_epochs(simulation.path)[-20:]) == {9}


@pytest.mark.parametrize(
    ("optimizer", "settings"),
    [
        ("smac", OptimizerSettings(rungs="all")),
        ("smac", OptimizerSettings(brackets="hyperband", rungs="all")),
        ("smac", OptimizerSettings(random_probability=1.0)),
        ("hyperband", OptimizerSettings()),
    ],
)
def test_only_if_it_is_wanted_and_there_is_a_model(
    simulate: Callable[..., Any], optimizer: str, settings: OptimizerSettings
) -> None:
    simulation = simulate(problem=opposed, trials=40, optimizer=optimizer, smac=settings)
    simulation.run()
    assert first_epochs(simulation.path)[0] == 1
    assert 1 in first_epochs(simulation.path)[-17:], "a round of Hyperband's brackets"
    assert not any("began higher" in said for said in findings.proxies(load(simulation.path)))


def test_a_run_of_before_goes_on_as_it_began() -> None:
    values = SearchSettings().to_json()
    assert SearchSettings.from_json(values).smac.rungs == "learnt"
    del values["smac"]["rungs"]
    assert SearchSettings.from_json(values).smac.rungs == "all"


def test_the_report_says_so(simulate: Callable[..., Any]) -> None:
    simulation = simulate(problem=opposed, trials=40)
    simulation.run()
    run = load(simulation.path)
    said = findings.proxies(run)[-1]
    assert said.startswith("So the search began higher: 1 epoch tells the opposite of 9 (correlation about -")
    assert said.endswith("here: configurations begin at 9 epochs.")
    state = SearchState.of(journal.read(Run(simulation.path).journal).events)
    assert judged(run.state, run.rungs) == judged(state, run.rungs)


@pytest.mark.parametrize(("top", "eta", "lowest"), [(45, 3, 5), (18, 3, 2), (6, 3, 2), (7, 3, 7), (8, 2, 2)])
def test_the_lowest_rung_can_be_left_to_the_search(top: int, eta: int, lowest: int) -> None:
    said = ["--min-epochs", "auto", "--max-epochs", str(top), "--eta", str(eta)]
    fidelity = tyro.cli(SearchSettings, args=said, config=(tyro.conf.OmitArgPrefixes,)).fidelity
    assert fidelity == Fidelity(lowest, top, eta)
    assert type(fidelity.min_epochs) is int, "what search.json holds"
