"""Further seeds for the best few: how many, of whom, and that nothing else changes."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nas.execution.simulated import SimulatedResult
from nas.optimizers.protocol import Fidelity
from nas.optimizers.settings import OptimizerSettings
from nas.run import incumbent, journal
from nas.run.events import Event, NewIncumbent, RepeatAsked, SessionStarted, parse
from nas.run.folder import Run
from nas.run.posterior import posterior
from nas.run.state import SearchState
from nas.search import replicates
from nas.search.replicates import REPLICATE
from nas.util.seeds import derive
from tests.conftest import noise, true_error

FULL, TWO = Fidelity(9, 9, 3), Fidelity(3, 9, 3)  # one rung, and two
TOY = str(Path(__file__).parents[1] / "search_spaces" / "toy_space.py")


def state_of(path: Path) -> SearchState:
    return SearchState.of(journal.read(Run(path).journal).events)


def noisy(config: dict[str, Any], epochs: int, seed: int) -> SimulatedResult:
    """Differences between the best are small against what a seed does."""
    final = 0.3 + 0.3 * true_error(config) + 0.06 * (noise(seed, *sorted(config.items())) - 0.5)
    return SimulatedResult(tuple(final + 0.3 / (1 + epoch) for epoch in range(1, epochs + 1)), seconds=1.0)


def quiet(config: dict[str, Any], epochs: int, seed: int) -> SimulatedResult:
    final = true_error(config) + 1e-3 * noise(*sorted(config.items()))
    return SimulatedResult(tuple(final + 0.3 / (1 + epoch) for epoch in range(1, epochs + 1)), seconds=1.0)


def toy(config: dict[str, Any], epochs: int, seed: int) -> SimulatedResult:
    final = 0.05 * config["kernel_size"] + 0.02 * config["bias"] + 0.1 * noise(seed, *sorted(config.items()))
    return SimulatedResult(tuple(final + 0.3 / epoch for epoch in range(1, epochs + 1)), 1.0)


def ledger(path: Path) -> list[tuple[Any, ...]]:
    return [
        (t.trial, t.config_id, t.epochs, t.origin, t.repeat, t.status, t.error, t.cached)
        for t in state_of(path).trials.values()
        if t.finished
    ]


def epochs_of(state: SearchState) -> tuple[int, int]:
    """Epochs trained by repeats, and by all."""
    reached: dict[str, int] = {}
    own = further = 0
    for trial in state.trials.values():
        if trial.cached:
            continue
        new = trial.epochs - reached.get(trial.key, 0)
        reached[trial.key] = trial.epochs
        own, further = own + new * (not trial.repeat), further + new * bool(trial.repeat)
    return further, own + further


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_repeats_take_their_share_where_seeds_decide(simulate: Callable[..., Any], share: float) -> None:
    fixed = OptimizerSettings(rungs="all")  # how many rungs are used is another subject
    simulation = simulate(problem=noisy, trials=100, replicates=share, fidelity=TWO, smac=fixed)
    simulation.run()
    further, total = epochs_of(state_of(simulation.path))
    assert 0.2 * share <= further / total <= share


def test_repeats_cost_little_where_there_is_no_noise(simulate: Callable[..., Any]) -> None:
    simulation = simulate(problem=quiet, trials=100, replicates=0.3, fidelity=FULL)
    simulation.run()
    state = state_of(simulation.path)
    assert len(state.repeats(9)) < 20, "of the 30 that the share allows"


@dataclass
class Watched:
    """A search with repeats that has ended; tests only read it."""

    path: Path
    search: Any
    trained: list[tuple[int, int]]  # epochs and seeds


@pytest.fixture(scope="module")
def watched(simulation: type[Any], tmp_path_factory: pytest.TempPathFactory) -> Watched:
    trained: list[tuple[int, int]] = []

    def problem(config: dict[str, Any], epochs: int, seed: int) -> SimulatedResult:
        trained.append((epochs, seed))
        return noisy(config, epochs, seed)

    path = tmp_path_factory.mktemp("watched") / "run"
    search, file = simulation(path, problem, trials=80, replicates=0.2, seed=5, fidelity=TWO).search()
    with file:
        search.run(SessionStarted("", 0.0, command=[], hardware={}, versions={}))
    return Watched(path, search, trained)


def test_a_repeat_has_the_seed_that_a_confirmation_gives_it(watched: Watched) -> None:
    state = state_of(watched.path)
    repeats = state.repeats(9)
    assert repeats
    assert all(trial.origin == REPLICATE for trial in repeats)
    for trial in repeats:
        assert (9, derive(5, "confirm", trial.repeat)) in watched.trained
        own = state.answered(trial.config_id, 9)
        assert own is not None
        assert own.trial < trial.trial
    numbers: dict[str, list[int]] = {}
    for trial in repeats:
        numbers.setdefault(trial.config_id, []).append(trial.repeat)
    assert all(found == list(range(1, len(found) + 1)) for found in numbers.values())


@pytest.mark.parametrize("problem", [noisy, quiet])
def test_without_repeats_the_incumbent_is_the_best_measured(
    simulate: Callable[..., Any], problem: Any
) -> None:
    simulation = simulate(problem=problem, trials=60, fidelity=TWO)
    simulation.run()
    state = state_of(simulation.path)
    best = min(
        (t for t in state.trials.values() if t.epochs == 9 and t.error is not None), key=lambda t: t.error
    )
    assert state.incumbent == best.trial
    assert not any(isinstance(e, RepeatAsked) for e in journal.read(Run(simulation.path).journal).events)
    assert b"seeds" not in Run(simulation.path).journal.read_bytes()


def test_the_incumbent_says_with_how_many_seeds_and_what_interval(watched: Watched) -> None:
    state = state_of(watched.path)
    lead = incumbent.leader(state, 9)
    said = orjson.loads(Run(watched.path).incumbent_json.read_bytes())
    assert lead is not None
    assert lead.interval is not None
    assert lead.interval[0] < lead.error < lead.interval[1]
    assert (said["trial"], said["error"], said["seeds"]) == (lead.trial.trial, lead.error, lead.seeds)
    assert said["interval"] == list(lead.interval)
    assert state.lead is not None
    assert (state.lead.trial, state.lead.error, state.lead.seeds) == (
        lead.trial.trial,
        lead.error,
        lead.seeds,
    )
    least = min(t.error for t in state.trials.values() if t.epochs == 9 and t.error is not None)
    assert lead.error > least, "the best single figure was luck"


def test_the_figure_of_the_incumbent_flatters_less(simulate: Callable[..., Any]) -> None:
    flattery = {0.0: 0.0, 0.2: 0.0}
    for share in flattery:
        for seed in range(4):
            simulation = simulate(
                f"{share}-{seed}", problem=noisy, trials=80, seed=seed, replicates=share, fidelity=FULL
            )
            simulation.run()
            state = state_of(simulation.path)
            truth = 0.33 + 0.3 * true_error(state.trials[state.incumbent or 0].config)
            flattery[share] += truth - (state.estimate[0] or 0.0)
    assert flattery[0.0] > 0
    assert abs(flattery[0.2]) < flattery[0.0] / 2


def test_a_small_space_is_measured_again_until_the_budget_ends(simulate: Callable[..., Any]) -> None:
    simulation = simulate(problem=toy, space=TOY, trials=150, replicates=0.1)
    assert simulation.run() == "trials"
    state = state_of(simulation.path)
    assert len(state.reached) == 18
    assert set(state.reached.values()) == {9}
    assert state.finished == 150
    further = [trial.config["kernel_size"] for trial in state.repeats(9)]
    assert further.count(1) > 2 * further.count(5), "those that may be the best are measured again"


CUT: list[dict[str, Any]] = [
    {"problem": noisy, "trials": 70, "replicates": 0.2, "fidelity": TWO},
    {"problem": toy, "space": TOY, "trials": 60, "replicates": 0.2},
]


@pytest.fixture(scope="module")
def unharmed(simulation: type[Any], tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, int], Path]:
    """Searches of ``CUT`` by their place in it and their slots, each made once; tests only read them."""

    @cache
    def searched(place: int, slots: int) -> Path:
        path: Path = tmp_path_factory.mktemp("unharmed") / "run"
        simulation(path, slots=slots, **CUT[place]).run()
        return path

    return searched


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("slots", [1, 3])
def test_a_journal_cut_anywhere_resumes_to_the_same_ledger(
    simulate: Callable[..., Any], unharmed: Callable[[int, int], Path], seed: int, slots: int
) -> None:
    reference = unharmed(seed % 2, slots)
    whole = Run(reference).journal.read_bytes()
    killed = simulate("killed", slots=slots, **CUT[seed % 2])
    killed.search()[1].close()
    cut = random.Random(seed).randrange(len(whole))
    Run(killed.path).journal.write_bytes(whole[:cut])
    killed.run()
    ours, theirs = ledger(killed.path), ledger(reference)
    if slots == 1:
        assert ours == theirs
        assert state_of(killed.path).incumbents == state_of(reference).incumbents
        found = [orjson.loads(Run(one).incumbent_json.read_bytes()) for one in (killed.path, reference)]
        said = ("trial", "error", "seeds", "interval")
        assert [found[0].get(name) for name in said] == [found[1].get(name) for name in said]
    assert len({(row[1], row[2], row[4]) for row in ours if not row[7]}) == sum(not row[7] for row in ours)


def test_a_run_from_before_goes_on_without(simulate: Callable[..., Any]) -> None:
    from nas.search.settings import SearchSettings

    values = SearchSettings().to_json()
    assert values["choice"]["replicates"] > 0
    del values["choice"]["replicates"]
    assert SearchSettings.from_json(values).choice.replicates == 0


def test_turned_on_later_it_changes_nothing_before(simulate: Callable[..., Any]) -> None:
    simulation = simulate(problem=noisy, trials=60, fidelity=TWO)
    simulation.run()
    before = ledger(simulation.path)
    simulation.trials, simulation.replicates = 140, 0.3
    simulation.run()
    after = ledger(simulation.path)
    assert after[: len(before)] == before
    assert any(row[4] for row in after[len(before) :])


class Story:
    """Events of a search, one after another."""

    def __init__(self) -> None:
        self.state = SearchState()

    def trained(self, name: str, error: float | None, repeat: int = 0, reason: str = "boom") -> int:
        number = len(self.state.trials) + 1
        about = {"trial": number, "config_id": name, "config": {"a": name}, "epochs": 9, "origin": "x"}
        more = {"repeat": repeat, "searched_trial": 1} if repeat else {}
        self.state.apply(self.event("asked", **about, **more))
        status = "crashed" if error is None else "success"
        rest = {"status": status, "error": error, "metrics": {}, "seconds": 1.0, "reason": reason}
        self.state.apply(self.event("ended", trial=number, **rest))
        return number

    @staticmethod
    def event(kind: str, **fields: Any) -> Event:
        return parse({"event": kind, "time": "2026-01-01T00:00:00+00:00", "clock": 1.0, **fields})


@given(
    st.dictionaries(
        st.text("abcdefgh", min_size=1, max_size=1), st.lists(st.floats(0, 1), min_size=1, max_size=5)
    )
)
@example({"a": [0.0], "b": [1.7e-160]})
@settings(max_examples=60)
def test_expectations_lie_between_a_mean_and_the_middle(seeds: dict[str, list[float]]) -> None:
    story = Story()
    for name, errors in seeds.items():
        for repeat, error in enumerate(errors):
            story.trained(name, error, repeat)
    known = posterior(story.state, 9)
    assert [one.trial.config_id for one in known.estimates] == list(seeds)
    means = sorted(sum(errors) / len(errors) for errors in seeds.values())
    for one in known.estimates:
        assert one.errors == tuple(seeds[one.trial.config_id])
        assert means[0] - 1e-9 <= one.mean <= means[-1] + 1e-9
        assert one.interval[0] <= one.mean <= one.interval[1]
    ranked = incumbent.ranked(story.state, 9)
    assert sorted(lead.trial.config_id for lead in ranked) == sorted(seeds)


def test_more_seeds_are_believed_more() -> None:
    story = Story()
    for name, error in (("a", 0.30), ("b", 0.31), ("c", 0.5), ("d", 0.55), ("e", 0.6), ("f", 0.7)):
        story.trained(name, error)
    for repeat, error in enumerate((0.29, 0.33, 0.27, 0.34), start=1):
        story.trained("b", error, repeat)
    found = {one.trial.config_id: one for one in posterior(story.state, 9).estimates}
    assert found["b"].sd < found["a"].sd
    assert abs(found["b"].mean - 0.308) < abs(found["a"].mean - 0.30)


@pytest.mark.parametrize(
    ("reason", "leads"), [("diverged in epoch 2: training loss is nan", "b"), ("ended by SIGKILL", "a")]
)
def test_of_whom_a_seed_crashed_by_its_own_fault_does_not_lead(reason: str, leads: str) -> None:
    story = Story()
    for name, error in (("a", 0.2), ("b", 0.3), ("c", 0.5)):
        story.trained(name, error)
    story.trained("a", None, repeat=1, reason=reason)
    lead = incumbent.leader(story.state, 9)
    assert lead is not None
    assert lead.trial.config_id == leads
    assert story.state.next_repeat("a", 9) == (2 if leads == "b" else 1), "what was killed is due again"


def told(errors: list[float]) -> Story:
    story = Story()
    for number, error in enumerate(errors):
        story.trained(chr(97 + number), error)
    return story


def test_the_most_telling_seed_is_one_of_the_best() -> None:
    story = told([0.3 + 0.02 * number for number in range(12)])
    _, trial = replicates.most_valuable(posterior(story.state, 9))
    assert trial.config_id in "ab"


def test_nothing_is_repeated_while_new_configurations_are_better_or_noise_matters_little() -> None:
    close = [0.30, 0.302, 0.34, 0.36, 0.4, 0.42, 0.5, 0.52] * 2
    assert replicates.due(told(close).state, 9, 0.3) is not None
    assert replicates.due(told(close[:15]).state, 9, 0.3) is None, "too early"
    assert replicates.due(told([0.1, *close[1:]]).state, 9, 0.3) is None, "one is clearly ahead"
    better = [0.5, 0.4, 0.42, 0.52, 0.36, 0.4, 0.34, 0.45, 0.25, 0.2, 0.15, 0.1, 0.102, 0.13, 0.104, 0.103]
    assert replicates.due(told(better).state, 9, 0.3) is None, "new ones are better"


def test_another_configuration_is_worth_less_the_more_there_are() -> None:
    rng = random.Random(0)
    errors = [0.3, *(0.4 + 0.05 * rng.random() for _ in range(60))]
    gains = [replicates.gain_of_another(posterior(told(errors[:n]).state, 9)) for n in (8, 16, 32, 61)]
    assert gains == sorted(gains, reverse=True)
    assert gains[-1] > 0
    falling = posterior(told([0.5 - 0.01 * n for n in range(20)]).state, 9)
    shrunk = [one.mean for one in falling.estimates]
    assert replicates.gain_of_another(falling) == pytest.approx((shrunk[9] - shrunk[19]) / 10)


def test_the_model_learns_the_noise_from_repeats(watched: Watched) -> None:
    data = watched.search._optimizer._selector._evidence.training_data()
    repeats = state_of(watched.path).repeats(9)
    assert data.further.sum() == len([t for t in repeats if t.error is not None])
    assert (data.scatter[data.further > 0] > 0).all()
    assert data.gains[data.further > 0].max() <= 0.5


def test_each_change_of_the_lead_is_journaled(watched: Watched) -> None:
    state, said = SearchState(), []
    for event in journal.read(Run(watched.path).journal).events:
        state.apply(event)
        if isinstance(event, NewIncumbent):
            lead = incumbent.leader(state, 9)
            assert lead is not None
            assert (event.trial, event.error, event.seeds) == (lead.trial.trial, lead.error, lead.seeds)
            said.append(event)
    assert any(event.seeds > 1 for event in said)
