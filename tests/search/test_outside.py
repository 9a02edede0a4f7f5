"""Crashes that come from outside, suspended processes, and where a run folder is seen from."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas.execution.messages import Halted, Report, TrialEnded, TrialSpec
from nas.execution.simulated import SimulatedExecutor
from nas.run import journal, liveness
from nas.run.causes import from_outside
from nas.run.events import SessionStarted
from nas.run.folder import Run
from nas.run.state import BASELINE, SearchState
from nas.search import provenance
from nas.search.clock import WallClock
from nas.status import watcher
from nas.util import locks
from nas.view import panel
from nas.view.snapshot import take
from tests.descriptions import described

KILLED = "the trial process was ended by SIGKILL (when nobody sent it, the machine ran out of memory)"


def state_of(run: Path) -> SearchState:
    return SearchState.of(journal.read(run / "trials.jsonl").events)


def losing(monkeypatch: pytest.MonkeyPatch, reason: str, lost: set[int]) -> None:
    """Has these trials end with a crash for a reason."""
    poll = SimulatedExecutor.poll

    def harmed(self: SimulatedExecutor, timeout: float) -> list[Report]:
        reports = poll(self, timeout)
        if reports and isinstance(reports[-1], TrialEnded) and reports[-1].trial in lost:
            return [TrialEnded(reports[-1].trial, None, reason=reason)]
        return reports

    monkeypatch.setattr(SimulatedExecutor, "poll", harmed)


OUTSIDE = [
    KILLED,
    "the trial process was ended by SIGTERM",
    "the trial process was ended by SIGHUP",
    "no end after 2m 00s (--trial-timeout)",
    "3 workers died while they ran it, the last at tcp://10.0.0.7:33",
    "RuntimeError: CUDA error: the GPU is lost",
    "RuntimeError: No CUDA GPUs are available",
    "AcceleratorError: CUDA error: no CUDA-capable device is detected",
    "RuntimeError: CUDA error: CUDA-capable device(s) is/are busy or unavailable",
]
INSIDE = [
    "ValueError: this network cannot be trained",
    "diverged in epoch 1: training loss is nan",
    "the trial process was ended by SIGSEGV (a fault in native code)",
    "the trial process ended with code 7",
    "OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB",
    "simulated crash in epoch 2",
]


def test_causes_are_told_apart_by_what_is_said_of_them() -> None:
    assert [reason for reason in OUTSIDE + INSIDE if from_outside(reason)] == OUTSIDE


def test_a_baseline_lost_to_something_outside_is_tried_again(
    simulate: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    losing(monkeypatch, KILLED, {2})
    simulation = simulate(trials=15)
    simulation.run()
    state = state_of(simulation.path)
    tried = [(t.epochs, t.status) for t in state.trials.values() if t.origin == BASELINE]
    assert tried.count((3, "crashed")) == 1
    assert sorted(set(tried)) == [(1, "success"), (3, "crashed"), (3, "success"), (9, "success")]
    assert state.baseline(3) is not None
    assert state.baseline(9) is not None


def test_a_baseline_that_cannot_be_trained_is_not(
    simulate: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    losing(monkeypatch, INSIDE[0], {1})
    simulation = simulate(trials=12)
    simulation.run()
    tried = [t.epochs for t in state_of(simulation.path).trials.values() if t.origin == BASELINE]
    assert tried.count(1) == 1


def test_what_is_lost_again_and_again_is_left_until_the_next_session(
    simulate: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    losing(monkeypatch, KILLED, set(range(1, 5)))
    simulation = simulate(trials=4)
    simulation.run()
    state = state_of(simulation.path)
    baseline = [t for t in state.trials.values() if t.origin == BASELINE]
    assert len([t for t in baseline if t.epochs == 1]) == 2  # asked, and once more
    monkeypatch.undo()
    simulation.trials = 16
    simulation.run()
    assert state_of(simulation.path).baseline(9) is not None


def test_a_clock_leaves_out_what_it_is_told_to() -> None:
    clock = WallClock(used=100.0)
    begun = time.monotonic()
    clock.leave_out(40.0)
    assert clock.used() == pytest.approx(60.0 + time.monotonic() - begun, abs=0.5)


def test_a_stopped_trial_uses_no_budget(simulate: Callable[..., Any]) -> None:
    simulation = simulate(trials=5)
    search, file = simulation.search()
    with file:
        search._clock.advance(100.0)
        search._take(Halted(1, 30.0))
        assert search._clock.used() == 70.0


def test_a_standstill_is_noted_once(simulate: Callable[..., Any]) -> None:
    notes: list[str] = []

    class Ear:
        def note(self, text: str) -> None:
            notes.append(text)

        def event(self, *_: object) -> None:
            if len(notes) == 0:
                clock.stood_still = 95.0  # type: ignore[attr-defined]

        def tick(self) -> None:
            pass

    simulation = simulate(trials=5)
    search, file = simulation.search(Ear())
    clock = search._clock
    with file:
        search.run(SessionStarted("", 0.0, command=[], hardware={}, versions={}))
    assert [note for note in notes if "stood still for 1m 35s" in note] == notes != []
    assert len(notes) == 1


# Where a run folder is seen from


@pytest.fixture
def killed(simulate: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run whose last session ended without a word, on this machine."""
    simulation = simulate(trials=6)
    search, file = simulation.search()
    with file:
        facts = provenance.session_facts(Run(simulation.path), described())
        search.run(SessionStarted("", 0.0, **facts))
    lines = (simulation.path / "trials.jsonl").read_bytes().splitlines(keepends=True)
    (simulation.path / "trials.jsonl").write_bytes(b"".join(lines[:-1]))
    return Path(simulation.path)


def seen(run: Path) -> liveness.Liveness:
    return liveness.of(Run(run), state_of(run))


def drawn(run: Path) -> str:
    return panel.standing(watcher.Watcher(run).look())


def test_a_killed_run_is_dead_where_it_was_and_where_it_was_moved(killed: Path, tmp_path: Path) -> None:
    assert seen(killed).status == liveness.DEAD
    moved = killed.rename(tmp_path / "moved")
    assert seen(moved).status == liveness.DEAD
    assert drawn(moved) == "dead: it was killed; --resume continues it"


def test_a_copy_is_called_one(killed: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(killed, tmp_path / "copy")
    assert seen(copy).status == liveness.COPIED
    assert "killed" not in drawn(copy)
    assert "copy" in drawn(copy)
    with Run(killed).lock():  # the original goes on
        assert seen(killed).status == liveness.RUNNING
        assert seen(copy).status == liveness.COPIED


def test_on_another_machine_it_is_not_known_whether_it_runs(
    killed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = socket.gethostname()
    monkeypatch.setattr(socket, "gethostname", lambda: "elsewhere")
    found = seen(killed)
    assert (found.status, found.host) == (liveness.AWAY, home)
    assert f"last heard of on {home}" in drawn(killed)
    assert "killed" not in drawn(killed)


@pytest.mark.parametrize("hours", [-30, -2, 0, 2, 30])
def test_a_clock_that_is_hours_off_changes_no_duration(
    killed: Path, monkeypatch: pytest.MonkeyPatch, hours: float
) -> None:
    """Of this machine against the one that searches, or of the time when the journal was written."""
    real = time.time
    used = state_of(killed).clock
    with Run(killed).lock():
        os.utime(Run(killed).lock_file)
        monkeypatch.setattr(time, "time", lambda: real() + 3600 * hours)
        snapshot = watcher.Watcher(killed).look()
    assert snapshot.status == "running"
    assert used <= snapshot.used_seconds < used + 60
    away = liveness.of(Run(killed), state_of(killed))
    assert away.silent_seconds >= 0


def test_a_running_search_is_shown_to_the_second(killed: Path) -> None:
    used = state_of(killed).clock
    with Run(killed).lock():
        moment = time.time() - 3.0
        os.utime(Run(killed).journal, (moment, moment))
        assert watcher.Watcher(killed).look().used_seconds == pytest.approx(used + 3.0, abs=1.0)
        long_ago = time.time() - 7200.0
        os.utime(Run(killed).journal, (long_ago, long_ago))
        os.utime(Run(killed).lock_file)
        assert watcher.Watcher(killed).look().used_seconds == pytest.approx(used + 7200, abs=locks.BEAT)


def test_every_standing_can_be_drawn(killed: Path) -> None:
    search = Run(killed).read_search()
    for word in (liveness.RUNNING, liveness.STOPPED, liveness.DEAD, liveness.COPIED, liveness.AWAY):
        found = take(
            state_of(killed), search, name="r", status=word, used=1.0, seen=liveness.Liveness(word, "h", 9.0)
        )
        assert panel.standing(found)
        json.dumps(found.to_json())


# The real trial process


def test_a_trial_that_is_stopped_is_waited_for(tmp_path: Path) -> None:
    from nas.execution.messages import Note
    from tests.execution.test_local import HERE, LocalExecutor, settings, spec

    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(HERE)
        executor = LocalExecutor(settings(tmp_path))
        executor.start()
        try:
            assert executor._process is not None
            pid = executor._process.process.pid or 0
            executor.submit(TrialSpec(**{**vars(spec(1)), "timeout": 2.0}))
            os.kill(pid, signal.SIGSTOP)
            reports, begun = [], time.monotonic()
            while time.monotonic() - begun < 5:
                reports += executor.poll(0.2)
            assert not [report for report in reports if isinstance(report, TrialEnded)]
            assert sum(r.seconds for r in reports if isinstance(r, Halted)) == pytest.approx(5.0, abs=1.0)
            os.kill(pid, signal.SIGCONT)
            while not (reports and isinstance(reports[-1], TrialEnded)):
                assert time.monotonic() - begun < 60
                reports += executor.poll(0.2)
            assert reports[-1].error is not None
            notes = [report.text for report in reports if isinstance(report, Note)]
            assert "trial 1: its process is stopped; that time is not counted" in notes
            assert any("its process goes on after" in note for note in notes)
        finally:
            executor.close()
