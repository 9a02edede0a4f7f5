"""Trials on a real Dask cluster, and what becomes of them when parts of it die."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from nas.execution.dask.clusters import RunningScheduler
from nas.execution.dask.executor import DaskExecutor
from nas.execution.messages import EpochDone, Note, Report, TrialEnded, TrialPaused, TrialSpec
from nas.execution.settings import WorkerSettings
from nas.trial import weights
from search_spaces.base import config_id
from tests.execution.small_workers import settings

HERE = str(Path(__file__).parent)


@pytest.fixture
def executor(cluster: Any, tmp_path: Path) -> Iterator[DaskExecutor]:
    sys.path.insert(0, HERE)
    (tmp_path / "run").mkdir()
    made = DaskExecutor(RunningScheduler(cluster.address), dying(tmp_path / "run"), say=print)
    yield made
    made.close()
    sys.path.remove(HERE)


def dying(run: Path) -> WorkerSettings:
    return settings(
        run, space="deadly:DeadlySpace", max_epochs=8, checkpoint_every=0.0, weights=run / "weights"
    )


def spec(trial: int, manner: str, epochs: int = 2, seed: int = 1) -> TrialSpec:
    config = {"manner": manner}
    name = config_id(config)
    return TrialSpec(trial, name, config, epochs, seed=seed, timeout=100, keep={name: 0.0})


def collect(
    executor: DaskExecutor, done: Callable[[list[Report]], bool], seconds: float = 280
) -> list[Report]:
    reports: list[Report] = []
    deadline = time.monotonic() + seconds
    while not done(reports):
        assert time.monotonic() < deadline, reports
        reports += executor.poll(0.2)
    return reports


def ended(*trials: int) -> Callable[[list[Report]], bool]:
    return lambda reports: set(trials) <= {r.trial for r in reports if isinstance(r, TrialEnded)}


def end_of(reports: list[Report], trial: int) -> TrialEnded:
    (end,) = [r for r in reports if isinstance(r, TrialEnded) and r.trial == trial]
    return end


def epochs_of(reports: list[Report], trial: int) -> list[int]:
    return [report.epoch for report in reports if isinstance(report, EpochDone) and report.trial == trial]


def worker_process(address: str) -> int:
    """The process that listens at a worker's address."""
    port = int(address.rpartition(":")[2])
    for process in psutil.process_iter():
        try:
            if any(c.status == "LISTEN" and c.laddr.port == port for c in process.net_connections("tcp")):
                return process.pid
        except psutil.Error:
            continue
    raise AssertionError(f"nobody listens at {address}")


def busy_with(executor: DaskExecutor, trial: int) -> str:
    member = executor._jobs[trial].member
    assert member is not None
    return member.address


def test_a_worker_that_is_killed_costs_an_epoch_and_one_that_comes_late_helps(
    cluster: Any, executor: DaskExecutor
) -> None:
    cluster.start_worker("--no-nanny")
    facts = executor.start()
    assert facts.data.train_images == 160
    assert executor.slots == 1
    executor.submit(spec(1, "slow", epochs=8))
    reports = collect(executor, lambda reports: bool(epochs_of(reports, 1)))
    cluster.start_worker("--no-nanny")
    os.kill(worker_process(busy_with(executor, 1)), signal.SIGKILL)
    cluster.gate.touch()
    reports += collect(executor, ended(1))
    assert executor.slots == 1  # the late one; the dead one is forgotten
    assert epochs_of(reports, 1) == list(range(1, 9))  # each once, though one may have been trained twice
    end = end_of(reports, 1)
    assert end.error is not None
    assert end.metrics["from_epoch"] >= 1  # it went on from its checkpoint
    assert any(isinstance(report, Note) and "died" in report.text for report in reports)
    executor.submit(spec(2, "slow", epochs=8, seed=1))  # straight, from the same checkpoint: the same network
    assert end_of(collect(executor, ended(2)), 2).error == end.error


def test_without_a_shared_folder_checkpoints_travel_and_a_pause_loses_nothing(
    cluster: Any, executor: DaskExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        executor, "_token_file", tmp_path / "nowhere" / "token"
    )  # nobody sees it, as on other machines
    cluster.start_worker("--no-nanny")
    executor.start()
    assert executor.measure({"manner": "quick"}).train_seconds > 0
    executor.submit(spec(1, "quick", epochs=2))
    reports = collect(executor, ended(1))
    assert any(isinstance(report, Note) and "travel" in report.text for report in reports)
    (checkpoint,) = (tmp_path / "run" / "checkpoints").glob("*.pt")
    assert checkpoint.name == f"{config_id({'manner': 'quick'})}-2.pt"
    assert not list(tmp_path.glob("dask-scratch-space/**/*.pt"))  # nothing is left with the worker
    executor.submit(spec(2, "quick", epochs=4))
    assert end_of(collect(executor, ended(2)), 2).metrics["from_epoch"] == 2

    executor.submit(spec(3, "slow", epochs=8))
    reports = collect(executor, lambda reports: bool(epochs_of(reports, 3)))
    executor.pause()
    cluster.gate.touch()
    reports += collect(executor, lambda reports: any(isinstance(r, TrialPaused) for r in reports))
    done = max(epochs_of(reports, 3))
    assert done < 8
    executor.submit(spec(3, "slow", epochs=8))
    end = end_of(collect(executor, ended(3)), 3)
    assert end.metrics["from_epoch"] == done
    (path,) = (tmp_path / "run" / "weights").iterdir()  # of the highest rung alone
    assert path.name == f"{config_id({'manner': 'slow'})}-8.safetensors"
    assert weights.read(path).facts["top1"] == end.metrics["top1"]
    assert not list(tmp_path.glob("dask-scratch-space/**/*.safetensors"))


@pytest.mark.slow
def test_a_trial_that_kills_three_workers_is_a_crash(cluster: Any, executor: DaskExecutor) -> None:
    cluster.start_worker("--nanny")  # which replaces what dies
    executor.start()
    executor.submit(spec(1, "deadly"))
    reports = collect(executor, ended(1))
    end = end_of(reports, 1)
    assert end.error is None
    assert end.reason.startswith("3 workers died while they ran it")
    assert sum(isinstance(report, Note) and "died" in report.text for report in reports) == 2
    executor.submit(spec(2, "quick"))
    assert end_of(collect(executor, ended(2)), 2).error is not None


@pytest.mark.slow
def test_a_scheduler_that_restarts_is_waited_for(cluster: Any, executor: DaskExecutor) -> None:
    cluster.start_worker("--no-nanny")
    executor.start()
    executor.submit(spec(1, "slow", epochs=8))
    reports = collect(executor, lambda reports: bool(epochs_of(reports, 1)))
    assert cluster.scheduler is not None
    cluster.scheduler.kill()
    cluster.scheduler.wait()
    reports += collect(
        executor, lambda reports: any(isinstance(r, Note) and "is gone" in r.text for r in reports)
    )
    assert executor.slots == 0
    cluster.gate.touch()
    cluster.start_scheduler()
    cluster.start_worker("--no-nanny")
    reports += collect(executor, ended(1))
    assert any(isinstance(report, Note) and "is back" in report.text for report in reports)
    assert epochs_of(reports, 1) == list(range(1, 9))
    assert end_of(reports, 1).metrics["from_epoch"] >= 1
