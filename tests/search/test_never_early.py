"""A search uses its budget: a small space is trained to the end, crashes are searched around."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import search_spaces
from nas.execution.messages import Report, TrialEnded
from nas.execution.simulated import SimulatedExecutor, SimulatedResult
from nas.run import journal
from nas.run.events import SessionStarted
from nas.run.folder import Run
from nas.run.state import SearchState
from nas.search.crashes import CHECK
from tests.conftest import noise, synthetic

TOY = str(Path(__file__).parents[1] / "search_spaces" / "toy_space.py")


def state_of(path: Path) -> SearchState:
    return SearchState.of(journal.read(Run(path).journal).events)


def toy(config: dict[str, Any], epochs: int, seed: int) -> SimulatedResult:
    final = 0.1 * config["kernel_size"] + 0.05 * config["bias"] + 0.02 * len(config["act"])
    return SimulatedResult(tuple(final / 2 + 0.3 / epoch for epoch in range(1, epochs + 1)), 1.0)


@pytest.mark.parametrize("optimizer", ["smac", "hyperband", "random"])
@pytest.mark.parametrize("slots", [1, 3])
def test_a_small_space_is_trained_to_the_highest_rung_before_it_is_exhausted(
    simulate: Callable[..., Any], optimizer: str, slots: int
) -> None:
    simulation = simulate(problem=toy, space=TOY, trials=None, optimizer=optimizer, slots=slots)
    assert simulation.run() == "exhausted"
    state = state_of(simulation.path)
    assert len(state.reached) == 18
    assert set(state.reached.values()) == {9}


def test_of_a_small_space_the_most_promising_go_on_first(simulate: Callable[..., Any]) -> None:
    simulation = simulate(problem=toy, space=TOY, trials=None)
    simulation.run()
    at_top = [t for t in state_of(simulation.path).trials.values() if t.epochs == 9 and not t.cached]
    errors = [trial.error for trial in at_top if trial.error is not None]
    assert len(errors) == 18
    assert sum(errors[:9]) < sum(errors[9:])


def test_what_crashes_in_a_small_space_keeps_nothing_from_its_end(simulate: Callable[..., Any]) -> None:
    def harmful(config: dict[str, Any], epochs: int, seed: int) -> SimulatedResult:
        answer = toy(config, epochs, seed)
        return (
            SimulatedResult((*answer.errors[:1], *(None,) * (epochs - 1)), 1.0) if config["bias"] else answer
        )

    simulation = simulate(problem=harmful, space=TOY, trials=None)
    assert simulation.run() == "exhausted"
    reached = list(state_of(simulation.path).reached.values())
    assert reached.count(9) == 9


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.9])
def test_an_exhausted_space_resumes_to_the_same_trials(simulate: Callable[..., Any], cut: float) -> None:
    def asked(path: Path) -> list[Any]:
        return [(t.config_id, t.epochs, t.origin, t.error) for t in state_of(path).trials.values()]

    whole = simulate("whole", problem=toy, space=TOY, trials=None)
    whole.run()
    killed = simulate("killed", problem=toy, space=TOY, trials=None)
    killed.search()[1].close()
    data = Run(whole.path).journal.read_bytes()
    Run(killed.path).journal.write_bytes(data[: int(cut * len(data))])
    killed.run()
    assert asked(killed.path) == asked(whole.path)


HALVES: dict[str, Callable[[dict[str, Any]], bool]] = {
    "a choice": lambda config: config["pool"] == "blur" or config["norm"] == "layer",
    "two kernels together": lambda config: config["kernel_mid"] + config["kernel_down"] > 12,
    "two choices alike": lambda config: config["bottleneck"] == config["se"],
    "no reason": lambda config: noise("x", *sorted(config.items())) < 0.5,
}


@pytest.mark.parametrize("half", HALVES)
def test_half_of_a_space_may_crash_and_is_soon_avoided(simulate: Callable[..., Any], half: str) -> None:
    def problem(config: dict[str, Any], epochs: int, seed: int) -> SimulatedResult:
        answer = synthetic(config, epochs, seed)
        return SimulatedResult((None,) * epochs, answer.seconds) if HALVES[half](config) else answer

    simulation = simulate(problem=problem, trials=80)
    assert simulation.run() == "trials"
    state = state_of(simulation.path)
    assert state.finished == 80
    if half != "no reason":
        assert sum(number > 40 for number in state.crashed) <= 4, "of half of the later ones without a model"


def failing(monkeypatch: pytest.MonkeyPatch, reason: str, which: Callable[[int], bool]) -> None:
    """Has these trials end with a crash for a reason."""
    poll = SimulatedExecutor.poll

    def harmed(self: SimulatedExecutor, timeout: float) -> list[Report]:
        reports = poll(self, timeout)
        if reports and isinstance(reports[-1], TrialEnded) and which(reports[-1].trial):
            return [TrialEnded(reports[-1].trial, None, reason=reason)]
        return reports

    monkeypatch.setattr(SimulatedExecutor, "poll", harmed)


def test_a_machine_that_breaks_ends_the_search_after_a_check(
    simulate: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, "RuntimeError: no space left in shared memory", lambda trial: trial > 20)
    simulation = simulate(trials=200)
    assert simulation.run() == "crashes"
    state = state_of(simulation.path)
    checks = [trial for trial in state.trials.values() if trial.origin == CHECK]
    assert [(check.epochs, check.repeat, check.status) for check in checks] == [(1, 1, "crashed")]
    assert len(state.crashed) <= 7


def test_a_check_that_goes_well_lets_the_search_go_on(simulate: Callable[..., Any]) -> None:
    default = search_spaces.get("nexception").default
    trainings = [0]

    def odd(config: dict[str, Any], epochs: int, seed: int) -> SimulatedResult:
        trainings[0] += 1
        answer = synthetic(config, epochs, seed)
        return (
            SimulatedResult((None,) * epochs, 1.0)
            if 20 < trainings[0] <= 30 and config != default
            else answer
        )

    simulation = simulate(problem=odd, trials=60)
    assert simulation.run() == "trials"
    state = state_of(simulation.path)
    checks = [trial for trial in state.trials.values() if trial.origin == CHECK]
    assert all(check.status == "success" and check.config == default for check in checks)
    assert [check.repeat for check in checks] == list(range(1, len(checks) + 1))
    assert state.finished == 60
    assert len(state.crashed) >= 7


@pytest.mark.parametrize("reason", ["RuntimeError: CUDA error: the GPU is lost", "ended by SIGKILL"])
def test_a_cause_from_outside_five_times_in_a_row_ends_it_without_a_check(
    simulate: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, reason: str
) -> None:
    failing(monkeypatch, reason, lambda trial: trial > 20)
    simulation = simulate(trials=200)
    assert simulation.run() == "crashes"
    state = state_of(simulation.path)
    assert len(state.crashed) == 5
    assert not any(trial.origin == CHECK for trial in state.trials.values())


def test_a_lost_device_says_nothing_against_the_configurations_it_took_along(
    simulate: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, "RuntimeError: CUDA error: the GPU is lost", lambda trial: 14 < trial <= 18)
    simulation = simulate(trials=30)
    search, file = simulation.search()
    with file:
        search.run(SessionStarted("", 0.0, command=[], hardware={}, versions={}))
    rows, crashed = search._optimizer._selector._evidence.crashes  # type: ignore[attr-defined]
    assert len(rows) > 10
    assert not crashed.any()
