"""Whose weights a run keeps: simulated searches that write a file for each network of the highest rung."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nas.execution import keeping
from nas.execution.simulated import SimulatedExecutor
from nas.run.events import Event, SessionStarted, parse
from nas.run.state import BASELINE, SearchState
from nas.trial.weights import WeightStore, file_name


def event(kind: str, **fields: Any) -> Event:
    return parse({"event": kind, "time": "2026-01-01T00:00:00+00:00", "clock": 1.0, **fields})


class Story:
    """Events of a search, trial by trial."""

    def __init__(self) -> None:
        self.state = SearchState()
        self.number = 0

    def asked(self, name: str, epochs: int = 9, origin: str = "x") -> int:
        self.number += 1
        about = {"config_id": name, "config": {"a": name}, "epochs": epochs, "origin": origin}
        self.state.apply(event("asked", trial=self.number, **about, ask_seconds=0.0))
        return self.number

    def ended(self, trial: int, error: float | None, cached: bool = False) -> None:
        status = "crashed" if error is None else "success"
        more = {"status": status, "error": error, "metrics": {"macs": 1.0}, "seconds": 1.0, "cached": cached}
        self.state.apply(event("ended", trial=trial, reason="", **more))

    def trained(self, name: str, error: float | None, epochs: int = 9, origin: str = "x") -> None:
        self.ended(self.asked(name, epochs, origin), error)


def test_the_leader_the_baseline_and_the_next_best_stay() -> None:
    story = Story()
    story.trained("base", 0.9, origin=BASELINE)
    for name, error in (("a", 0.5), ("b", 0.2), ("c", 0.3), ("d", 0.4), ("e", None), ("low", 0.01)):
        story.trained(name, error, epochs=3 if name == "low" else 9)
    assert keeping.sorted_out(story.state, 9) == (["b", "base", "c", "d"], ["a", "e"])


def test_of_equals_the_first_stays_and_answers_from_the_record_change_nothing() -> None:
    story = Story()
    for name in ("a", "b", "c", "d"):
        story.trained(name, 0.5)
    story.ended(story.asked("d"), 0.5, cached=True)
    assert keeping.sorted_out(story.state, 9) == (["a", "b", "c"], ["d"])


def test_what_runs_again_is_not_lost() -> None:
    """A crash that is tried once more: its weights may lie there before its end is known."""
    story = Story()
    story.trained("base", None, origin=BASELINE)
    story.asked("base", origin=BASELINE)
    assert keeping.sorted_out(story.state, 9) == ([], [])


class Writing(SimulatedExecutor):
    """Simulated trials that leave a file where real ones would leave weights."""

    folder: Path

    def submit(self, spec: Any) -> None:
        if spec.epochs == 9:
            self.folder.mkdir(exist_ok=True)
            (self.folder / file_name(spec.config_id, 9)).write_bytes(b"x" * 100)
        super().submit(spec)


@pytest.mark.parametrize("slots", [1, 4])
def test_a_search_that_is_cut_and_resumed_keeps_the_best(simulate: Any, slots: int) -> None:
    simulation = simulate(trials=60, slots=slots)
    search, journal = simulation.search()
    with journal:
        search.run(SessionStarted("", 0.0, command=[], hardware={}, versions={}))
    folder = simulation.path / "weights"
    for trials in (70, 100):
        simulation.trials = trials
        search, journal = simulation.search()
        search._files = replace(search._files, weights=WeightStore(folder, 10**6))
        search._executor.__class__ = Writing
        search._executor.folder = folder
        with journal:
            search.run(SessionStarted("", 0.0, command=[], hardware={}, versions={}))
        best, _ = keeping.sorted_out(search.state, 9)
        there = {path.name for path in folder.iterdir()}
        running = {file_name(trial.config_id, 9) for trial in search.state.open_trials()}
        assert there - running <= {file_name(key, 9) for key in best}
        assert len(best) in (3, 4)
    # Those of the first sixty trials were never written; the others are the best that there are.
    assert there


def test_of_several_seeds_the_best_ones_weights_stay() -> None:
    story = Story()
    for name, error in (("a", 0.30), ("b", 0.31), ("c", 0.5), ("d", 0.6), ("e", 0.7)):
        story.trained(name, error)
    for repeat, error in ((1, 0.29), (2, 0.32)):
        number = len(story.state.trials) + 1
        story.number = number
        about = {"config_id": "a", "config": {"a": "a"}, "epochs": 9, "origin": "replicate"}
        story.state.apply(event("asked", trial=number, **about, repeat=repeat, searched_trial=1))
        story.ended(number, error)
    best, lost = keeping.sorted_out(story.state, 9)
    assert best == ["a_1", "b", "c"]
    assert lost == ["a", "a_2", "d", "e"]
    assert keeping.sorted_out(story.state, 9, lambda key: key != "a_1")[0] == ["a", "b", "c"]
