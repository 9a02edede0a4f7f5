from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

import search_spaces
from nas.execution.simulated import SimulatedResult
from nas.optimizers.protocol import Fidelity
from nas.run import journal
from nas.run.events import SessionStarted
from nas.run.folder import Run
from nas.run.journal import Journal
from nas.run.state import BASELINE, SearchState
from nas.util.errors import UserError


def state_of(path: Path) -> SearchState:
    return SearchState.of(journal.read(Run(path).journal).events)


def ledger(path: Path) -> list[tuple[Any, ...]]:
    """Everything that a killed and resumed run must share with an unkilled one."""
    return [
        (trial.trial, trial.config_id, trial.epochs, trial.origin, trial.status, trial.error, trial.cached)
        for trial in state_of(path).trials.values()
        if trial.finished
    ]


def test_the_baseline_runs_first_at_every_rung(simulate: Callable[..., Any]) -> None:
    simulation = simulate(trials=20)
    assert simulation.run() == "trials"
    trials = list(state_of(simulation.path).trials.values())
    assert [(t.epochs, t.origin) for t in trials[:3]] == [(1, BASELINE), (3, BASELINE), (9, BASELINE)]
    assert trials[0].config == search_spaces.get("nexception").default


def test_a_configuration_trained_before_is_answered_from_the_record(simulate: Callable[..., Any]) -> None:
    simulation = simulate(trials=20)
    simulation.run()
    state = state_of(simulation.path)
    cached = [trial for trial in state.trials.values() if trial.cached]
    assert cached, "the optimiser asks for the default, which the baseline has answered"
    for trial in cached:
        first = state.answered(trial.config_id, trial.epochs)
        assert first is not None
        assert first.trial < trial.trial
        assert first.error == trial.error
    assert state.finished == 20  # answers from the record are no trials


@pytest.mark.parametrize("optimizer", ["smac", "hyperband", "random"])
def test_the_search_beats_the_baseline_and_writes_the_winner(
    simulate: Callable[..., Any], optimizer: str
) -> None:
    simulation = simulate(optimizer=optimizer, trials=60)
    simulation.run()
    state = state_of(simulation.path)
    winner = orjson.loads(Run(simulation.path).incumbent_json.read_bytes())
    best = min(
        (t for t in state.trials.values() if t.epochs == 9 and t.error is not None),
        key=lambda t: t.error or 0,
    )
    assert winner["trial"] == state.incumbent == best.trial
    assert winner["error"] < winner["baseline"]["error"]
    changed = {change["hyperparameter"]: change["incumbent"] for change in winner["changes_from_baseline"]}
    default = search_spaces.get("nexception").default
    assert {**default, **changed} == winner["config"]


def test_only_the_highest_rung_crowns(simulate: Callable[..., Any]) -> None:
    def flattering(config: dict[str, Any], epochs: int, seed: int) -> SimulatedResult:
        return SimulatedResult(tuple(0.1 + 0.05 * epoch for epoch in range(epochs)), 1.0)  # longer is worse

    simulation = simulate(problem=flattering, trials=20)
    simulation.run()
    state = state_of(simulation.path)
    assert {state.trials[number].epochs for number in state.incumbents} == {9}


def test_equal_seeds_give_equal_searches_and_others_do_not(simulate: Callable[..., Any]) -> None:
    runs = [simulate(name, trials=25, seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    for simulation in runs:
        simulation.run()
    a, b, c = (ledger(simulation.path) for simulation in runs)
    assert a == b
    assert a != c


@pytest.fixture(scope="module")
def reference(simulation: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """An unkilled search of 40 trials; tests only read it."""
    whole = simulation(tmp_path_factory.mktemp("runs") / "reference", trials=40)
    whole.run()
    return whole


@pytest.mark.parametrize("seed", range(4))
def test_a_journal_cut_anywhere_resumes_to_the_same_ledger(
    simulate: Callable[..., Any], reference: Any, seed: int
) -> None:
    """A kill leaves some prefix of the journal's bytes; every prefix must lead to the same search."""
    expected = ledger(reference.path)
    whole = Run(reference.path).journal.read_bytes()
    killed = simulate("killed", trials=40)
    killed.search()[1].close()
    draw = random.Random(seed)
    cuts = sorted(draw.randrange(len(whole)) for _ in range(3))
    path = Run(killed.path).journal
    for cut in cuts:  # killed, resumed for a while, killed again
        path.write_bytes(whole[:cut])
        search, file = killed.search()
        with file:
            search.stop("interrupted") if draw.random() < 0.3 else None
            search.run(SessionStarted("", 0.0, command=[], hardware={}, versions={}))
        assert set(ledger(killed.path)) <= set(expected)
        whole = path.read_bytes() if draw.random() < 0.5 else whole
    killed.run()
    assert ledger(killed.path) == expected


@pytest.mark.parametrize("replicates", [0.0, 0.15])
def test_a_search_given_more_trials_goes_on_as_if_it_had_had_them(
    simulate: Callable[..., Any], replicates: float
) -> None:
    whole = simulate("whole", trials=50, replicates=replicates)
    whole.run()
    for trials in range(1, 51):
        stopped = simulate("stopped", trials=trials, replicates=replicates)
        assert stopped.run() == "trials"
        assert state_of(stopped.path).finished == trials
    assert ledger(stopped.path) == ledger(whole.path)


def test_a_search_given_more_time_goes_on_as_if_it_had_had_it(
    simulate: Callable[..., Any], reference: Any
) -> None:
    total = state_of(reference.path).clock
    for part in range(1, 31):
        simulate("stopped", trials=40, seconds=total * part / 30).run()
    stopped = simulate("stopped", trials=40)
    assert stopped.run() == "trials"
    assert ledger(stopped.path) == ledger(reference.path)


def test_a_killed_search_runs_nothing_twice(simulate: Callable[..., Any], reference: Any) -> None:
    lines = Run(reference.path).journal.read_bytes().splitlines(keepends=True)
    ends = [n for n, line in enumerate(lines) if b'"event":"ended"' in line]
    killed = simulate("killed", trials=40)
    killed.search()[1].close()
    Run(killed.path).journal.write_bytes(b"".join(lines[: ends[len(ends) // 2] + 1]))
    killed.run()
    ended = [e.trial for e in journal.read(Run(killed.path).journal).events if e.kind == "ended"]
    assert len(ended) == len(set(ended))


def test_a_winner_whose_crowning_was_cut_off_is_crowned_on_resume(
    simulate: Callable[..., Any], reference: Any
) -> None:
    lines = Run(reference.path).journal.read_bytes().splitlines(keepends=True)
    crowned = [n for n, line in enumerate(lines) if b'"event":"incumbent"' in line]
    killed = simulate("killed", trials=40)
    killed.search()[1].close()
    Run(killed.path).journal.write_bytes(b"".join(lines[: crowned[-1]]))
    killed.run()
    assert state_of(killed.path).incumbents == state_of(reference.path).incumbents
    assert Run(killed.path).incumbent_json.read_bytes() == Run(reference.path).incumbent_json.read_bytes()


def test_the_budget_counts_all_sessions_and_nothing_starts_that_cannot_finish(
    simulate: Callable[..., Any],
) -> None:
    simulation = simulate(trials=None, seconds=400.0)
    assert simulation.run() == "budget"
    used = state_of(simulation.path).clock
    assert 300 < used <= 400
    simulation.seconds = 800.0
    assert simulation.run() == "budget"
    state = state_of(simulation.path)
    assert used < state.clock <= 800
    assert len(state.sessions) == 2
    assert not state.running_trials()


def test_crashes_are_recorded_and_the_search_goes_on(simulate: Callable[..., Any]) -> None:
    def crashing(config: dict[str, Any], epochs: int, seed: int) -> SimulatedResult:
        if config["se"] and config["norm"] == "layer":
            return SimulatedResult((None,) * epochs, 1.0)
        return SimulatedResult(tuple(0.5 for _ in range(epochs)), 1.0)

    simulation = simulate(problem=crashing, trials=40)
    assert simulation.run() == "trials"
    state = state_of(simulation.path)
    assert state.crashed
    assert all("simulated crash" in state.trials[number].reason for number in state.crashed)
    assert state.finished == 40


def test_the_same_crash_five_times_in_a_row_stops_the_search(simulate: Callable[..., Any]) -> None:
    def broken(config: dict[str, Any], epochs: int, seed: int) -> SimulatedResult:
        return SimulatedResult((None,) * epochs, 1.0)

    simulation = simulate(problem=broken)
    assert simulation.run() == "crashes"
    state = state_of(simulation.path)
    assert state.finished == 5
    assert state.incumbent is None


def test_an_exhausted_space_ends_the_search(
    simulate: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    simulation = simulate(trials=None)
    search, file = simulation.search()
    monkeypatch.setattr(search._optimizer, "ask", lambda *, speculative=False: None)
    with file:
        assert search.run(SessionStarted("", 0.0, command=[], hardware={}, versions={})) == "exhausted"
    assert state_of(simulation.path).finished == 3  # the baseline


def test_many_slots_stay_filled_and_no_configuration_runs_twice_at_once(simulate: Callable[..., Any]) -> None:
    class Watch:
        most = 0

        def event(self, event: dict[str, Any], state: SearchState) -> None:
            running = [trial.config_id for trial in state.running_trials()]
            assert len(running) == len(set(running))
            self.most = max(self.most, len(running))

        def note(self, text: str) -> None:
            raise AssertionError(text)

        def tick(self) -> None:
            pass

    watch = Watch()
    simulation = simulate(trials=60, slots=4)
    simulation.run(watch)
    assert watch.most == 4


def test_a_full_disk_stops_with_one_line_and_the_run_resumes(
    simulate: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = simulate("reference", trials=25)
    reference.run()
    simulation = simulate("full", trials=25)
    real = Journal.append
    calls = [0]

    def full(self: Journal, event: dict[str, Any], *, durable: bool = True) -> None:
        calls[0] += 1
        if calls[0] > 60:
            raise UserError("trials.jsonl: cannot be written (No space left on device)")
        real(self, event, durable=durable)

    monkeypatch.setattr(Journal, "append", full)
    with pytest.raises(UserError, match="No space left"):
        simulation.run()
    monkeypatch.undo()
    simulation.run()
    assert ledger(simulation.path) == ledger(reference.path)


def test_rungs_must_fit_eta() -> None:
    assert Fidelity(5, 45, 3).rungs == (5, 15, 45)
    with pytest.raises(UserError, match="nearest are 15 and 45"):
        Fidelity(5, 44, 3)
