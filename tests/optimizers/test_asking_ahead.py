"""The model awaits the result of a trial at the highest rung; what needs no results is asked ahead."""

from __future__ import annotations

from typing import Any

from nas.optimizers import create
from nas.optimizers.protocol import Fidelity, Optimizer, Suggestion
from nas.optimizers.settings import OptimizerSettings

TOP = Fidelity(9, 9)
MODEL = OptimizerSettings(random_probability=0.0)


def model_chose(suggestion: Suggestion | None) -> bool:
    return suggestion is not None and suggestion.origin.startswith("acquisition")


def begun(run: Any, trials: int) -> Optimizer:
    """Runs some trials to their ends, and leaves another one pending."""
    run.serial(trials)
    run.ask()
    optimizer: Optimizer = run.optimizer
    return optimizer


def test_a_result_at_the_highest_rung_is_awaited(space: Any, driver: Any) -> None:
    run = driver(create("smac", space, TOP, 0, MODEL))
    optimizer = begun(run, 8)
    assert optimizer.ask(speculative=True) is None
    run.tell()
    assert model_chose(optimizer.ask(speculative=True))


def test_what_is_planned_or_drawn_is_asked_ahead(space: Any, driver: Any) -> None:
    for settings, trials in (MODEL, 2), (OptimizerSettings(random_probability=1.0), 8):
        ahead = begun(driver(create("smac", space, TOP, 0, settings)), trials).ask(speculative=True)
        assert ahead is not None
        assert not model_chose(ahead)


def test_a_tenth_of_the_choices_is_drawn_ahead_as_they_would_be_later(space: Any, driver: Any) -> None:
    run = driver(create("smac", space, TOP, 0))
    ahead = []
    for _ in range(60):
        asked = run.ask(speculative=True)
        ahead += [asked] if asked and run.pending[:-1] else []
        if run.pending[:-1] or asked is None:
            run.tell()
    assert "random" in {suggestion.origin for suggestion in ahead}
    assert not any(map(model_chose, ahead))


def test_results_of_low_rungs_are_not_awaited(space: Any, driver: Any) -> None:
    optimizer = begun(driver(create("smac", space, Fidelity(1, 9, 3), 0, MODEL)), 14)
    assert model_chose(optimizer.ask(speculative=True))


def test_with_several_trials_at_once_nothing_is_awaited(space: Any, driver: Any) -> None:
    run = driver(create("smac", space, TOP, 0, MODEL))
    optimizer = begun(run, 8)
    run.ask()
    assert model_chose(optimizer.ask(speculative=True))
