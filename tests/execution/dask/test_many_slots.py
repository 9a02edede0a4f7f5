"""The real loop with many trials at a time, in simulated time."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas.execution.simulated import SimulatedExecutor
from nas.optimizers.settings import OptimizerSettings
from nas.run import journal
from nas.run.events import SessionStarted
from nas.run.folder import Run
from nas.run.state import SearchState
from nas.view import snapshot

PLAIN = OptimizerSettings(random_probability=1.0)  # what is tested here is not what the model proposes


def events_of(path: Path) -> list[dict[str, Any]]:
    return journal.read(Run(path).journal).events


def once_each(path: Path) -> None:
    """No trial is counted twice, and no configuration trained twice to the same budget."""
    ended = [event.trial for event in events_of(path) if event.kind == "ended"]
    assert len(ended) == len(set(ended))
    trained = [
        (trial.config_id, trial.epochs)
        for trial in SearchState.of(events_of(path)).trials.values()
        if trial.status == "success" and not trial.cached
    ]
    assert len(trained) == len(set(trained))


def test_no_slot_waits_for_the_baseline_or_for_the_slowest_of_a_rung(simulate: Callable[..., Any]) -> None:
    slots = 16
    simulation = simulate(trials=160, slots=slots, smac=PLAIN)
    simulation.run()
    events = events_of(simulation.path)
    kinds = [event.kind for event in events]
    assert kinds[: kinds.index("ended")].count("started") == slots
    begun = {e.trial: e.clock for e in events if e.kind == "started"}
    last = max(begun.values())
    ends = {e.trial: min(e.clock, last) for e in events if e.kind == "ended" and not e.cached}
    busy = sum(ends[trial] - begun[trial] for trial in begun)
    assert busy / (slots * last) > 0.99
    once_each(simulation.path)


def test_the_journal_says_how_many_trials_run_at_a_time_and_the_status_shares_by_it(
    simulate: Callable[..., Any],
) -> None:
    one = simulate("one", trials=6, smac=PLAIN)
    one.run()
    assert all(event.kind != "slots" for event in events_of(one.path))
    many = simulate("many", trials=60, slots=8, smac=PLAIN)
    many.run()
    assert [e.count for e in events_of(many.path) if e.kind == "slots"] == [8]
    state = SearchState.of(events_of(many.path))
    assert state.slot_seconds == pytest.approx(8 * state.clock)
    shown = snapshot.take(state, Run(many.path).read_search(), name="", status="running", used=state.clock)
    assert shown.workers == 8
    assert 0.5 < shown.training_share <= 1.0


def test_workers_that_come_and_go_neither_end_the_search_nor_run_anything_twice(
    simulate: Callable[..., Any],
) -> None:
    simulation = simulate(trials=60, slots=0, smac=PLAIN)
    search, file = simulation.search()
    executor = search._executor
    assert isinstance(executor, SimulatedExecutor)
    real, draw = executor.poll, random.Random(0)

    def poll(timeout: float) -> Any:
        executor.slots = draw.choice((0, 0, 1, 3, 8))
        return real(timeout)

    executor.poll = poll  # type: ignore[method-assign]
    with file:
        assert search.run(SessionStarted("", 0.0, command=[], hardware={}, versions={})) == "trials"
    assert search.state.finished == 60
    once_each(simulation.path)


@pytest.mark.parametrize("seed", range(3))
def test_a_search_of_many_slots_that_is_killed_anywhere_keeps_what_finished(
    simulate: Callable[..., Any], seed: int
) -> None:
    reference = simulate("reference", trials=50, slots=6, smac=PLAIN)
    reference.run()
    whole = Run(reference.path).journal.read_bytes()
    cut = random.Random(seed).randrange(len(whole))
    killed = simulate("killed", trials=50, slots=6, smac=PLAIN)
    killed.search()[1].close()
    Run(killed.path).journal.write_bytes(whole[:cut])
    before = SearchState.of(events_of(killed.path)).trials
    killed.run()
    after = SearchState.of(events_of(killed.path))
    assert after.finished == 50
    for number, trial in before.items():
        assert after.trials[number].config_id == trial.config_id
        if trial.finished:
            assert after.trials[number].error == trial.error
    once_each(killed.path)
