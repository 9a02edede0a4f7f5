import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.trial.schedule import ConstantSchedule, CosineSchedule


def test_warm_up_then_half_a_cosine():
    schedule = CosineSchedule(peak=1.0, floor=0.2, warmup=4, total=12)
    assert [schedule(step) for step in range(5)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert schedule(8) == pytest.approx(0.6)
    assert schedule(12) == schedule(99) == pytest.approx(0.2)


@given(st.integers(0, 50), st.integers(1, 500), st.floats(1e-4, 1), st.floats(0, 1e-4))
def test_rises_then_falls_within_its_bounds(warmup, total, peak, floor):
    schedule = CosineSchedule(peak, floor, min(warmup, total // 2), total)
    rates = [schedule(step) for step in range(total)]
    top = rates.index(max(rates))
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert min(rates) > 0
    assert max(rates) <= peak * (1 + 1e-12)


def test_constant_after_its_warm_up():
    schedule = ConstantSchedule(peak=1.0, warmup=3)
    assert [schedule(step) for step in (0, 1, 2, 3, 10**6)] == pytest.approx([0.25, 0.5, 0.75, 1, 1])
