"""What may follow a search, and the time that is kept for it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.run import journal
from nas.run.state import SearchState
from nas.run.steps import Step, parse, reserved_seconds, training_seconds, trainings
from nas.util.errors import UserError

STEPS = st.sampled_from(["confirm", "confirm:5", "report", "export", "export:t", "export:reduced"])


@given(st.lists(STEPS, unique_by=lambda word: word if word.startswith("export") else word[:6]))
def test_steps_are_read_as_they_are_written(words: list[str]) -> None:
    assert [str(step) for step in parse(words)] == words


@pytest.mark.parametrize(
    "words",
    [
        ["Confirm"],
        ["confirm:"],
        ["confirm:0"],
        ["confirm:1.5"],
        ["confirm:-1"],
        ["confirm:9999"],
        ["report:t"],
        ["export:"],
        ["train"],
        [""],
        ["confirm,report"],
        ["confirm", "confirm:2"],
        ["report", "report"],
        ["export:t", "export:t"],
    ],
)
def test_what_is_no_step_is_named(words: list[str]) -> None:
    with pytest.raises(UserError, match="must be confirm, confirm:SEEDS, report or export:SIZE, each once"):
        parse(words)


def test_a_confirmation_trains_the_base_architecture_too() -> None:
    assert trainings(parse(["confirm", "report"])) == 12
    assert trainings(parse(["confirm:5"])) == 20
    assert trainings(parse(["report", "export:t"])) == 0


@given(st.floats(1, 1e7), st.none() | st.floats(0, 1e6), st.integers(1, 9))
def test_never_more_than_a_quarter_is_kept(budget: float, training: float | None, seeds: int) -> None:
    steps = (Step("confirm", str(seeds)), Step("report"))
    held = reserved_seconds(steps, budget, training)
    assert 0 <= held <= budget / 4
    assert training is not None or held == 0
    assert reserved_seconds(steps[1:], budget, training) == 0
    if training is not None and held < budget / 4:
        assert held == pytest.approx(4 * seeds * training * 1.2)


def test_a_training_takes_what_the_base_architectures_epochs_take(finished_run: Path) -> None:
    events = journal.read(finished_run / "trials.jsonl").events
    state = SearchState.of(events)
    base = state.baseline(9)
    assert base is not None
    assert len(base.curve) == 6  # from the rung of three on
    assert training_seconds(state, 9) == pytest.approx(9 / 6 * base.seconds)
    assert training_seconds(SearchState.of(events[:2]), 9) is None
    first = next(number for number, event in enumerate(events, 1) if event.kind == "ended")
    early = SearchState.of(events[:first])
    assert training_seconds(early, 9) == pytest.approx(9 * early.trials[1].seconds)
