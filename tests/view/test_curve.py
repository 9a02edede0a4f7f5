"""The running trial's curve, and when a search ends."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from nas.util.output import _PLAIN
from nas.view import panel
from nas.view.snapshot import RunningTrial
from nas.view.spark import _BLOCKS, spark
from tests.view.test_panel_widths import WEEKEND

CURVE = [0.1, 0.4, 0.7, 0.8]
ONE = RunningTrial(7, "a1b2c3d4e5f6", "model", 9, 4, 33.0, 12.0, 0.8, CURVE)


def drawn(snapshot: object, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(panel.draw(snapshot))  # type: ignore[arg-type]
    return console.file.getvalue()  # type: ignore[attr-defined]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=200), st.none() | st.floats(0, 1))
def test_it_is_as_long_as_there_is_room_and_as_high_as_it_goes(
    values: list[float], top: float | None
) -> None:
    text = spark(values, top)
    assert len(text) == min(len(values), 30)
    assert set(text) <= set(_BLOCKS)
    shown = [_BLOCKS.index(block) for block in text]
    if values == sorted(values):
        assert shown == sorted(shown)
    if max(values) == values[-1] > min(values) and (top or 0.0) <= values[-1]:
        assert text[-1] == "█"


def test_what_is_left_to_the_incumbent_stays_empty() -> None:
    assert spark([0.0, 0.5], 1.0) == "▁▅"
    assert spark([0.0, 1.0], 0.5) == "▁█"
    assert spark([0.5]) == "▁"


def test_a_terminal_without_blocks_gets_others() -> None:
    assert all(_PLAIN[block].isascii() for block in _BLOCKS)
    assert len({_PLAIN[block] for block in _BLOCKS}) == len(_BLOCKS)


@pytest.mark.parametrize("width", [40, 60, 100, 200])
def test_the_running_trials_curve_is_drawn(width: int) -> None:
    text = drawn(replace(WEEKEND, running=[ONE]), width)
    assert spark(CURVE, 1 - 0.081) in text
    assert "10.00% to 80.00%" in text
    assert max(map(len, text.splitlines())) <= width


def test_many_trials_leave_no_room_for_curves() -> None:
    many = [replace(ONE, trial=number) for number in range(4)]
    assert spark(CURVE, 1 - 0.081) not in drawn(replace(WEEKEND, running=many))
    assert drawn(replace(WEEKEND, running=many[:3])).count("10.00% to") == 3


def test_one_epoch_is_no_curve() -> None:
    assert "10.00% to" not in drawn(replace(WEEKEND, running=[replace(ONE, curve=CURVE[:1])]))


def test_it_says_when_the_budget_ends() -> None:
    by_time = replace(WEEKEND, trial_limit=None, used_seconds=259200.0 - 7200)
    times = {f"{datetime.now() + timedelta(seconds=7200 + late):%a %H:%M}" for late in (-5, 5)}
    assert any(f"ends by {moment}" in drawn(by_time) for moment in times)
    assert "ends by" not in drawn(replace(by_time, status="stopped", stop_reason="budget", running=[]))
    weeks = replace(by_time, budget_seconds=by_time.used_seconds + 30 * 86400)
    assert f"ends by {datetime.now() + timedelta(days=30):%Y-%m-%d}" in drawn(weeks)
