"""Trials that share a GPU: whose crash is whose, and who has to run alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.execution.dask import worker
from nas.execution.dask.clusters import RunningScheduler
from nas.execution.dask.executor import DaskExecutor
from nas.execution.dask.jobs import Job, Member, assignments
from nas.execution.dask.messages import Outcome
from nas.execution.messages import DEVICE, MEMORY, EpochDone, Note, TrialEnded, TrialSpec
from nas.search.session import worker_settings
from nas.search.settings import SearchSettings


class Line:
    """In the place of the line to the workers: notes what they are given."""

    up = True

    def __init__(self) -> None:
        self.given: list[tuple[str, TrialSpec]] = []
        self.called: list[tuple[str, list[str]]] = []

    def task(self, address: str, function: Any, task: Any) -> Line:
        self.given.append((address, task.spec))
        return self

    def call(self, function: Any, method: Any, *, workers: list[str]) -> None:
        assert function is worker.tell
        self.called.append((method.__name__, workers))

    def add_done_callback(self, callback: Any) -> None:
        pass

    def release(self) -> None:
        pass


def spec(trial: int) -> TrialSpec:
    return TrialSpec(trial, f"{trial:012x}", {"n": trial}, epochs=9, seed=1, timeout=100)


@pytest.fixture
def executor(tmp_path: Path) -> DaskExecutor:
    """Four workers, two to a GPU, with a trial each; a fifth waits."""
    (tmp_path / "run").mkdir()
    settings = worker_settings(SearchSettings(), tmp_path / "run" / "checkpoints")
    made = DaskExecutor(RunningScheduler("tcp://127.0.0.1:1"), settings, say=print)
    made._client = Line()  # type: ignore[assignment]
    for number in range(4):
        name = f"w{number}"
        made._members[name] = Member(name, name, status="free", gpu=f"host GPU-{number // 2}")
    for trial in range(1, 6):
        made.submit(spec(trial))
    return made


def given_to(executor: DaskExecutor) -> list[tuple[str, int, bool]]:
    line: Any = executor._client
    return [(address, one.trial, one.alone) for address, one in line.given]


def end(executor: DaskExecutor, trial: int, *, fault: str = "", error: float | None = None) -> None:
    job = executor._jobs[trial]
    member = job.member
    assert member is not None
    member.status = "free"
    reason = "" if error is not None else f"RuntimeError: {fault}"
    executor._ended(job, member, Outcome(TrialEnded(trial, error, reason=reason, fault=fault), ()))
    executor._assign()


def ends(executor: DaskExecutor) -> dict[int, float | None]:
    return {report.trial: report.error for report in executor._reports if isinstance(report, TrialEnded)}


def test_trials_are_told_that_they_share_a_gpu(executor: DaskExecutor) -> None:
    assert given_to(executor) == [(f"w{n}", n + 1, False) for n in range(4)]


def test_a_fault_of_the_device_is_nobody_s_crash_until_a_trial_has_it_alone(executor: DaskExecutor) -> None:
    end(executor, 1, fault=DEVICE)  # 1 is at fault, and takes 2 with it
    end(executor, 2, fault=DEVICE)
    assert ends(executor) == {}
    assert next(r.text for r in executor._reports if isinstance(r, Note)).startswith("trial 1: RuntimeError")
    after = given_to(executor)[4:]
    assert len(after) == 1  # one of the two, on the GPU that they left, and nothing beside it
    address, suspect, alone = after[0]
    assert address in ("w0", "w1")
    assert alone
    assert executor._jobs[5].member is None
    line: Any = executor._client
    assert line.called == [("renew", []), ("renew", ["w0"])]  # MPS waits for all that were there
    end(executor, suspect, fault=DEVICE)
    assert ends(executor) == {suspect: None}  # alone and once more: its own crash
    other = 3 - suspect
    assert given_to(executor)[5] == (given_to(executor)[5][0], other, True)
    executor._epoch(executor._jobs[other], EpochDone(other, 1, {}))  # past what it was suspected of
    executor._assign()
    assert given_to(executor)[6][1:] == (5, False)
    end(executor, other, error=0.5)
    assert ends(executor) == {suspect: None, other: 0.5}
    assert executor._jobs.keys() == {3, 4, 5}


def test_one_that_lacked_memory_beside_others_runs_alone_to_its_end(executor: DaskExecutor) -> None:
    end(executor, 3, fault=MEMORY)
    assert ends(executor) == {}
    assert executor._jobs[3].member is None  # its GPU is not empty yet
    assert executor._jobs[5].member is None  # and nothing new begins there
    end(executor, 4, error=0.4)
    assert given_to(executor)[4][1:] == (3, True)
    executor._epoch(executor._jobs[3], EpochDone(3, 1, {}))
    executor._assign()
    assert executor._jobs[5].member is None
    end(executor, 3, fault=MEMORY)  # too large even alone, and in micro-batches
    assert ends(executor) == {4: 0.4, 3: None}
    assert given_to(executor)[5][1] == 5


def test_without_mps_one_worker_of_a_gpu_goes_on(executor: DaskExecutor) -> None:
    executor._cluster.one_each = True  # type: ignore[misc]
    for trial in (1, 3):
        end(executor, trial, error=0.5)
    assert executor.slots == 2
    assert executor._jobs[5].member is None
    end(executor, 2, error=0.5)
    assert executor.slots == 2  # the surplus one is not missed by the other
    assert given_to(executor)[4][1:] == (5, False)


def test_a_fault_of_its_own_is_a_crash_at_once(executor: DaskExecutor) -> None:
    end(executor, 1)
    assert ends(executor) == {1: None}


def test_who_has_a_device_to_itself_has_its_faults_to_itself(executor: DaskExecutor) -> None:
    for member in executor._members.values():
        member.gpu = ""  # CPUs
    end(executor, 1, fault=MEMORY)
    assert ends(executor) == {1: None}
    assert given_to(executor)[4][1:] == (5, True)


@given(
    gpus=st.lists(st.sampled_from(["", "a", "b", "c"]), min_size=1, max_size=6),
    alone=st.lists(st.sampled_from(["", MEMORY, DEVICE]), max_size=10),
    order=st.randoms(use_true_random=False),
)
def test_whatever_comes_every_trial_gets_its_turn_and_nobody_disturbs_one_alone(
    gpus: list[str], alone: list[str], order: Any
) -> None:
    members = [Member(f"w{n}", "", status="free", gpu=gpu) for n, gpu in enumerate(gpus)]
    waiting = [Job(spec(n), alone=why) for n, why in enumerate(alone)]
    running: list[Job] = []
    for _ in range(3 * len(alone) + 1):
        for job, member in assignments(waiting, members, running):
            assert member.status == "free"
            member.status, job.member = "busy", member
            waiting.remove(job)
            running.append(job)
        for job in running:
            assert job.member is not None
            beside = [
                o for o in running if o is not job and o.member and o.member.gpu == job.member.gpu != ""
            ]
            assert not (job.alone and beside)
        if running:
            ended = running.pop(order.randrange(len(running)))
            assert ended.member is not None
            ended.member.status = "free"
    assert not waiting
    assert not running
