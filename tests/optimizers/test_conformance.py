"""What every registered optimiser promises the engine."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import search_spaces
from nas.optimizers import create, names
from nas.optimizers.protocol import Fidelity, Outcome, Suggestion
from nas.optimizers.settings import OptimizerSettings
from nas.util.errors import UserError
from search_spaces.base import SearchSpace, config_id

FIDELITY = Fidelity(1, 9, 3)
# The model has its say early, so that short tests hear it.
EAGER = OptimizerSettings(initial_configs=4, min_trials=2)
EAGER_HYPERBAND = OptimizerSettings(initial_configs=4, min_trials=2, brackets="hyperband")

every = pytest.mark.parametrize("name", names())
every_setting = pytest.mark.parametrize(
    ("name", "setting"), [*((name, EAGER) for name in names()), ("smac", EAGER_HYPERBAND)]
)
# Objectives beside the error, and limits: a tenth of the space keeps them.
WEIGHED: list[tuple[str, OptimizerSettings, tuple[str, ...], dict[str, float]]] = [
    *((name, EAGER, (), {}) for name in names()),
    ("smac", EAGER_HYPERBAND, (), {}),
    *((name, EAGER, (), {"macs": 112e6}) for name in names()),
    ("smac", EAGER_HYPERBAND, (), {"macs": 90e6, "params": 6e6}),
    ("smac", EAGER, ("macs",), {"latency": 300e6}),
    ("smac", EAGER_HYPERBAND, ("params", "latency"), {"macs": 246e6}),
]
every_aim = pytest.mark.parametrize(("name", "setting", "objectives", "limits"), WEIGHED)
slow_examples = settings(
    deadline=None, max_examples=4, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def drawn(seed: int, crashes: float) -> Callable[[Any, int], float | None]:
    """Errors at random, and this share of crashes."""

    def objective(config: Any, epochs: int) -> float | None:
        draw = random.Random(f"{seed}/{epochs}/{config_id(config)}")
        return None if draw.random() < crashes else draw.random()

    return objective


def muddle(driver: Any, rng: random.Random, *, asks: int, depth: int) -> None:
    """Asks, ahead of time or not, and tells in any order, with up to ``depth`` trials pending."""
    while sum(outcome is None for _, outcome in driver.record) < asks:
        if driver.pending and (len(driver.pending) >= depth or rng.random() < 0.5):
            driver.tell(rng.randrange(len(driver.pending)))
        elif driver.ask(speculative=rng.random() < 0.6) is None and not driver.pending:
            raise AssertionError("nothing pending, nothing exhausted, nothing asked")


def assert_in_order(run: Any, space: SearchSpace, fidelity: Fidelity, aim: Any) -> set[tuple[str, int]]:
    """Trials are valid, none is asked twice, and promotions follow success; returns those that were asked."""
    ended: dict[tuple[str, int], float | None] = {}
    asked: set[tuple[str, int]] = set()
    for suggestion, outcome in run.record:
        place = config_id(suggestion.config), suggestion.epochs
        if outcome is not None:
            ended[place] = outcome.error
            continue
        assert suggestion.config == space.validate(suggestion.config)
        assert suggestion.epochs in fidelity.rungs
        assert aim is None or aim.fits(aim.known([suggestion.config])[0])
        assert place not in asked
        lower = [ended.get((place[0], epochs)) for epochs in fidelity.rungs if (place[0], epochs) in asked]
        assert (suggestion.origin == "promotion") == bool(lower)
        assert None not in lower, "promoted before it had succeeded"
        if suggestion.origin == "promotion":
            below = fidelity.rungs[fidelity.rungs.index(suggestion.epochs) - 1]
            assert (place[0], below) in ended
        asked.add(place)
    return asked


@pytest.mark.usefixtures("few_trees")
@every_aim
@slow_examples
@given(
    seed=st.integers(0, 10**6),
    fidelity=st.sampled_from([FIDELITY, Fidelity(1, 4, 2)]),
    depth=st.integers(1, 9),
    crashes=st.sampled_from([0.0, 0.2, 0.6]),
    cut=st.floats(0, 1),
)
def test_trials_are_valid_and_a_replay_at_any_point_equals_no_break(
    name: str,
    setting: OptimizerSettings,
    objectives: tuple[str, ...],
    limits: dict[str, float],
    costs: Any,
    costs_of: Any,
    space: SearchSpace,
    driver: Any,
    seed: int,
    fidelity: Fidelity,
    depth: int,
    crashes: float,
    cut: float,
) -> None:
    aim = costs(*objectives, **limits) if objectives or limits else None
    unbroken = driver(create(name, space, fidelity, seed, setting, costs=aim), drawn(seed, crashes), costs_of)
    muddle(unbroken, random.Random(seed), asks=40, depth=depth)
    asked = assert_in_order(unbroken, space, fidelity, aim)
    if name == "random":
        assert {epochs for _, epochs in asked} == {fidelity.max_epochs}

    # Every call after the cut is made again; asks that gave None before it left no trace.
    calls = round(cut * len(unbroken.record))
    resumed = create(name, space, fidelity, seed, setting, costs=aim)
    unbroken.replay_into(resumed, calls)
    for suggestion, outcome in unbroken.record[calls:]:
        if outcome is None:
            assert resumed.ask() == suggestion
        else:
            resumed.tell(suggestion, outcome)
    assert resumed.promotable() == unbroken.optimizer.promotable()


@every
def test_equal_calls_give_equal_answers_and_other_seeds_others(
    name: str, space: SearchSpace, driver: Any
) -> None:
    runs = [driver(create(name, space, FIDELITY, seed, EAGER)).serial(25) for seed in (1, 1, 2)]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]


@every
def test_only_crashes_neither_raise_nor_end_nor_are_promoted(
    name: str, space: SearchSpace, driver: Any
) -> None:
    run = driver(create(name, space, FIDELITY, 3, EAGER), lambda config, epochs: None)
    asked = run.serial(60)
    assert len(asked) == 60
    assert "promotion" not in {suggestion.origin for suggestion in asked}
    assert run.optimizer.promotable() == set()


@every
def test_nothing_pending_always_gives_a_trial_ahead_of_time_too(
    name: str, space: SearchSpace, driver: Any
) -> None:
    run = driver(create(name, space, FIDELITY, 3, EAGER))
    for _ in range(30):
        assert run.ask(speculative=True) is not None
        run.tell()


@every_setting
@pytest.mark.parametrize("depth", [1, 3])
def test_an_exhausted_space_ends_in_none(
    name: str, setting: OptimizerSettings, grid: Any, driver: Any, depth: int
) -> None:
    small = grid(a=(1, 2, 3), b=("x", "y"), c=(False, True))
    run = driver(create(name, small, FIDELITY, 0, setting), lambda config, epochs: config["a"] / (3 + epochs))
    seen = run.exhaust(depth)
    assert len(seen) == small.size == 12
    at_top = {
        config_id(suggestion.config)
        for suggestion, _ in run.record
        if suggestion.epochs == FIDELITY.max_epochs
    }
    assert at_top == seen, "all are trained to the end before it is exhausted"
    assert run.optimizer.ask(speculative=True) is None
    assert run.optimizer.promotable() == set()
    # The record with the end of the space in it can be replayed as well.
    resumed = create(name, small, FIDELITY, 0, setting)
    run.replay_into(resumed)
    assert resumed.ask() is None


@every
def test_an_error_that_is_no_number_counts_as_a_crash(name: str, space: SearchSpace) -> None:
    optimizer = create(name, space, FIDELITY, 0, EAGER)
    for error in (float("nan"), float("inf"), None):
        suggestion = optimizer.ask()
        assert suggestion is not None
        optimizer.tell(suggestion, Outcome(error, 1.0))
    assert optimizer.promotable() == set()


@every
def test_replay_refuses_what_could_not_have_been_asked(name: str, space: SearchSpace, grid: Any) -> None:
    first = create(name, space, FIDELITY, 0).ask()
    assert first is not None
    wrong = [
        Suggestion(first.config, 2, first.origin),
        Suggestion({**first.config, "stem": "cement"}, first.epochs, first.origin),
        Suggestion(grid(a=(1, 2)).default, first.epochs, first.origin),
    ]
    for suggestion in wrong:
        with pytest.raises(UserError, match=r"^journal: .*does not fit") as caught:
            create(name, space, FIDELITY, 0).replay(suggestion)
        assert "\n" not in str(caught.value)
    again = create(name, space, FIDELITY, 0)
    again.replay(first)
    with pytest.raises(UserError, match="does not fit"):
        again.replay(first)


@every
def test_nothing_is_written_printed_or_asked(
    name: str,
    space: SearchSpace,
    driver: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    recwarn: pytest.WarningsRecorder,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("asked on stdin"))
    driver(create(name, space, FIDELITY, 0, EAGER)).serial(20)
    driver(create(name, space, FIDELITY, 0, EAGER), lambda *_: 0.5).serial(20)  # SMAC logs much of this
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
    assert not recwarn.list


@every
def test_smac_reads_the_snapshot(name: str, space: SearchSpace, driver: Any, tmp_path: Path) -> None:
    from smac import Scenario
    from smac.runhistory import RunHistory, StatusType

    def objective(config: Any, epochs: int) -> float | None:
        return None if config["se"] and config["stem"] == "conv" else 1 / (1 + epochs)

    run = driver(create(name, space, FIDELITY, 0, EAGER), objective)
    run.serial(25)
    run.ask()  # still runs: left out
    run.optimizer.save(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{part}.json" for part in ("scenario", "configspace", "runhistory", "intensifier", "optimization")
    }
    scenario = Scenario.load(tmp_path)
    assert scenario.max_budget == FIDELITY.max_epochs
    history = RunHistory()
    history.load(tmp_path / "runhistory.json", scenario.configspace)
    assert len(history) == history.finished == 25
    found, told = [], []
    for trial, value in history.items():
        assert 0 < value.cost < 1.1
        error = value.cost if value.status == StatusType.SUCCESS else None
        config = history.get_config(trial.config_id)
        found.append((config_id(config), trial.budget, error, value.endtime, value.additional_info))
    for suggestion, outcome in run.record:
        if outcome is not None:
            info = {"reason": "boom"} if outcome.error is None else {}
            told.append((config_id(suggestion.config), suggestion.epochs, outcome.error, outcome.ended, info))
    assert found == told
    assert any(error is None for _, _, error, *_ in told)


ASK_IN_A_PROCESS = """
import logging
import search_spaces
from nas.optimizers import create, names
from nas.optimizers.protocol import Fidelity, Outcome
from nas.optimizers.settings import OptimizerSettings
for name in names():
    optimizer = create(name, search_spaces.get("nexception"), Fidelity(1, 9, 3), 0,
                       OptimizerSettings(initial_configs=4, min_trials=2))
    for index in range(25):
        suggestion = optimizer.ask()
        print(sorted(suggestion.config.items()), suggestion.epochs, suggestion.origin)
        optimizer.tell(suggestion, Outcome(0.3 + 0.01 * (index * 7 % 13), 1.0))
logging.getLogger("smac.main").warning("Python would print this if SMAC had no handler")
"""


def test_answers_do_not_depend_on_the_hash_seed_and_nothing_else_is_printed() -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", ASK_IN_A_PROCESS],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(search_spaces.__file__).parents[1],
        )
        for hash_seed in ("1", "2")
    ]
    outputs, errors = zip(*(process.communicate() for process in processes), strict=True)
    assert errors == ("", "")
    assert len(outputs[0].splitlines()) == 25 * len(names())
    assert "acquisition" in outputs[0]
    assert outputs[0] == outputs[1]


def test_names_and_settings_are_light_and_checked(space: SearchSpace) -> None:
    code = (
        "import sys, nas.optimizers, nas.optimizers.settings; "
        "print({'smac', 'torch', 'ConfigSpace', 'numpy'} & set(sys.modules))"
    )
    root = Path(search_spaces.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
    with pytest.raises(UserError, match="optimizer=Smack: did you mean smac"):
        create("Smack", space, FIDELITY, 0)
    for bad, flag in [
        ({"initial_configs": -1}, "initial_configs=-1"),
        ({"random_probability": 1.5}, "random_probability=1.5"),
        ({"min_trials": 1}, "min_trials=1"),
        ({"brackets": "round"}, "brackets=round"),
    ]:
        with pytest.raises(UserError, match=flag):
            OptimizerSettings(**bad)
