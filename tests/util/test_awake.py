"""Time that leaves out what a process stood still."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.util.awake import AwakeClock, is_stopped

# A step of a life: seconds, and whether the process ran, was stopped or computed without a look meanwhile.
STEPS = st.lists(
    st.tuples(st.floats(0.0, 5000.0), st.sampled_from(("ran", "stopped", "computed"))), max_size=30
)


@given(STEPS)
def test_only_what_was_stopped_is_left_out(steps: list[tuple[float, str]]) -> None:
    now, computed, awake = 1000.0, 50.0, 0.0
    clock = AwakeClock(lambda: now, lambda: computed, watched=False)
    start = clock.now()
    for seconds, how in steps:
        if how == "ran":  # looked at often
            for _ in range(20):
                now += min(seconds, 20.0) / 20
                clock.now()
            awake += min(seconds, 20.0)
        elif how == "computed":
            now, computed, awake = now + seconds, computed + seconds, awake + seconds
        else:
            now += seconds
            awake += seconds if seconds <= 2.0 else 0.25  # too short to be told from a busy machine
        before = clock.now()
        assert clock.now() == before
    assert clock.now() - start == pytest.approx(awake, abs=1e-6)
    assert clock.stood_still == pytest.approx(now - 1000.0 - awake, abs=1e-6)


@given(STEPS)
def test_it_never_goes_back(steps: list[tuple[float, str]]) -> None:
    now = 0.0
    clock = AwakeClock(lambda: now, lambda: 0.0, watched=False)
    last = clock.now()
    for seconds, _ in steps:
        now += seconds
        assert clock.now() >= last
        last = clock.now()


def test_a_stopped_process_is_seen_and_does_not_see_the_time_pass() -> None:
    script = (
        "import time; from nas.util.awake import AwakeClock; clock = AwakeClock(); a = clock.now(); "
        "print('ready', flush=True); input(); print(clock.now() - a, clock.stood_still)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    begun = time.monotonic()
    assert not is_stopped(process.pid)
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(3.5)
    assert is_stopped(process.pid)
    os.kill(process.pid, signal.SIGCONT)
    said = process.communicate("\n", timeout=30)[0]
    passed, stood = map(float, said.split())
    assert stood > 2.5
    assert passed < time.monotonic() - begun - 2.5
    assert not is_stopped(process.pid)  # it is gone


def test_a_long_call_is_no_standstill() -> None:
    clock = AwakeClock()
    time.sleep(2.6)  # the main thread does not look, the clock's own does
    assert clock.stood_still == 0.0


def test_a_clock_nobody_has_any_more_is_not_watched() -> None:
    gc.collect()
    before = watching()
    clocks = [AwakeClock() for _ in range(5)]
    assert watching() >= 5
    del clocks
    gc.collect()
    end = time.monotonic() + 5
    while watching() > before and time.monotonic() < end:
        time.sleep(0.05)
    assert watching() <= before


def watching() -> int:
    return sum(thread.name == "awake" for thread in threading.enumerate())
