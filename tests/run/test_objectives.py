"""The front, its volume, its knee, and who leads within limits."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.run.incumbent import leader
from nas.run.objectives import Objectives, hypervolume, knee
from nas.run.state import SearchState, Trial

Point = tuple[float, float]
points = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), min_size=1, max_size=12)


def state_of(found: list[Point]) -> SearchState:
    state = SearchState()
    for number, (error, macs) in enumerate(found, start=1):
        trial = Trial(number, f"c{number}", {}, 9, "model", "success", error / 10)
        trial.metrics = {"cost_macs": float(macs), "macs": float(macs)}
        state.trials[number] = trial
        state.rung(9).ended(trial)
    return state


@given(points)
def test_the_front_is_what_none_beats(found: list[Point]) -> None:
    objectives = Objectives(("macs",))
    front = objectives.front(state_of(found), 9)
    kept = {objectives.point(trial) for trial in front}
    every = {(error / 10, float(macs)) for error, macs in found}
    beaten = {p for p, q in product(every, every) if q != p and q[0] <= p[0] and q[1] <= p[1]}
    assert kept == every - beaten
    assert len(front) == len(kept)
    assert [trial.metrics["cost_macs"] for trial in front] == sorted(point[1] for point in kept)


@given(st.lists(st.tuples(*[st.integers(0, 5)] * 3), max_size=8))
def test_the_volume_is_the_share_of_cells(found: list[tuple[int, int, int]]) -> None:
    cells = product(range(4), repeat=3)
    covered = sum(
        any(all(p <= c for p, c in zip(point, cell, strict=True)) for point in found) for cell in cells
    )
    assert hypervolume(found, (4, 4, 4)) == pytest.approx(covered / 64)


def test_limits_and_unknown_costs_keep_a_network_off_the_front() -> None:
    state = state_of([(1, 9), (3, 3), (2, 5)])
    state.trials[3].metrics = {}
    limited = Objectives(("macs",), {"macs": 4.0})
    assert [trial.trial for trial in limited.front(state, 9)] == [2]
    lead = leader(state, 9, limited)
    assert lead is not None
    assert lead.trial.trial == 2
    assert leader(state, 9, Objectives(("macs",), {"macs": 2.0})) is None


def test_the_knee_is_the_best_compromise() -> None:
    state = state_of([(1, 9), (2, 3), (8, 1)])
    assert knee(list(state.trials.values()), Objectives(("macs",))).trial == 2
    lead = leader(state, 9, Objectives(("macs",), {}, "knee"))
    assert lead is not None
    assert lead.trial.trial == 2


def test_of_equal_errors_the_cheaper_leads() -> None:
    state = state_of([(2, 5), (2, 4), (2, 6)])
    lead = leader(state, 9, Objectives(("macs",)))
    assert lead is not None
    assert lead.trial.trial == 2
