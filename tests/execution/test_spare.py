"""The second trial process, which prepares the next trial: same results, and nobody's fault is another's."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import search_spaces
from nas.execution.faults import kind_of
from nas.execution.local import LocalExecutor
from nas.execution.messages import DEVICE, MEMORY, EpochDone, Note, Report, TrialEnded, TrialSpec
from nas.execution.simulated import SimulatedExecutor
from nas.trial.settings import TrainSettings
from search_spaces.base import config_id
from tests.execution.small_workers import settings

pytestmark = pytest.mark.acceptance  # each starts two trial processes

HERE = str(Path(__file__).parent)


def spec(trial: int, config: dict[str, Any], epochs: int = 2, timeout: float = 100.0) -> TrialSpec:
    return TrialSpec(trial, config_id(config), config, epochs, seed=trial, timeout=timeout)


def fault(kind: str = "none") -> dict[str, Any]:
    return {"fault": kind}


def collect(executor: LocalExecutor, seconds: float = 100.0) -> list[Report]:
    reports: list[Report] = []
    deadline = time.monotonic() + seconds
    while not any(isinstance(report, TrialEnded) for report in reports):
        assert time.monotonic() < deadline, reports
        reports += executor.poll(0.1)
    return reports


def until_told(executor: LocalExecutor) -> int:
    """Waits until the second process was told what to prepare; returns its number."""
    spare = executor._spare
    assert spare is not None
    deadline = time.monotonic() + 60
    while spare._told is None or spare._told is not spare._wanted:
        assert time.monotonic() < deadline
        spare.look()
        time.sleep(0.05)
    assert spare._process is not None
    pid = spare._process.process.pid
    assert pid is not None
    return pid


@pytest.fixture(scope="module")
def executor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalExecutor]:
    sys.path.insert(0, HERE)
    place = LocalExecutor(settings(tmp_path_factory.mktemp("spare"), checkpoint_every=0.0), ahead=True)
    place.start()
    yield place
    place.close()
    sys.path.remove(HERE)


def test_a_prepared_trial_is_the_same_in_every_figure(tmp_path: Path) -> None:
    small = settings(tmp_path, space="nexception", max_images=100, train=TrainSettings(batch_size=32))
    configs = search_spaces.get("nexception").sample(2, seed=3)
    jobs = [spec(number, config) for number, config in enumerate(configs, start=1)]
    curves = []
    for ahead in (False, True):
        place = LocalExecutor(replace(small, checkpoints=tmp_path / str(ahead)), ahead=ahead)
        place.start()
        place.submit(jobs[0])
        place.prepare(jobs[1])
        reports = collect(place)
        first = place._process
        if ahead:
            until_told(place)
        place.submit(jobs[1])
        assert (place._process is not first) == ahead  # the two take turns
        reports += collect(place)
        place.close()
        exact = ("train_loss", "val_loss", "top1", "lr")
        curves.append(
            [[r.metrics[key] for key in exact] for r in reports if isinstance(r, EpochDone)]
            + [
                [r.error, r.metrics["params"], r.metrics["macs"]]
                for r in reports
                if isinstance(r, TrialEnded)
            ]
        )
    assert curves[0] == curves[1]
    assert len(curves[0]) == 6


@pytest.mark.parametrize("kind", ["segfault", "exception"])
def test_what_a_preparation_does_to_its_process_is_told_at_the_trial_s_turn(
    executor: LocalExecutor, kind: str
) -> None:
    executor.submit(spec(1, fault()))
    executor.prepare(spec(2, fault(kind)))
    (end,) = [r for r in collect(executor) if isinstance(r, TrialEnded)]
    assert end.error is not None
    until_told(executor)
    time.sleep(1.0)  # by now it has failed
    executor.submit(spec(2, fault(kind)))
    (end,) = [r for r in collect(executor) if isinstance(r, TrialEnded)]
    assert (end.trial, end.error) == (2, None)
    executor.submit(spec(3, fault()))
    assert collect(executor)[-1].error is not None  # type: ignore[union-attr]


def test_a_preparation_that_hangs_holds_up_no_other_trial(executor: LocalExecutor) -> None:
    executor.submit(spec(1, fault()))
    executor.prepare(spec(2, fault("hang")))
    collect(executor)
    until_told(executor)
    for trial in (3, 4):
        executor.submit(spec(trial, fault(), timeout=20.0))
        executor.prepare(spec(trial + 1, fault("harmless")))
        (end,) = [r for r in collect(executor) if isinstance(r, TrialEnded)]
        assert (end.trial, end.error is None) == (trial, False)
    executor._spare.close()  # type: ignore[union-attr]


def test_a_second_process_that_is_killed_costs_nothing(executor: LocalExecutor) -> None:
    executor.submit(spec(1, fault()))
    executor.prepare(spec(2, fault("harmless")))
    collect(executor)
    os.kill(until_told(executor), signal.SIGKILL)
    time.sleep(0.3)
    executor.submit(spec(2, fault("harmless")))
    assert collect(executor)[-1].error is not None  # type: ignore[union-attr]


def test_memory_that_lacked_beside_a_preparation_is_asked_for_once_more_alone(
    executor: LocalExecutor,
) -> None:
    executor.submit(spec(1, fault("memory_once")))
    reports = collect(executor)
    notes = [report.text for report in reports if isinstance(report, Note)]
    assert [("alone" in text, "micro-batches" in text) for text in notes] == [(True, False), (False, True)]
    end = reports[-1]
    assert isinstance(end, TrialEnded)
    assert end.metrics["micro_batch"] == 8
    assert [r.epoch for r in reports if isinstance(r, EpochDone)] == [1, 2]


def test_after_a_fault_of_the_device_the_process_is_replaced(executor: LocalExecutor) -> None:
    before = executor._process
    executor.submit(spec(1, fault("device")))
    end = collect(executor)[-1]
    assert isinstance(end, TrialEnded)
    assert (end.error, end.fault) == (None, DEVICE)
    executor.submit(spec(2, fault()))
    assert executor._process is not before
    assert collect(executor)[-1].error is not None  # type: ignore[union-attr]


def test_the_search_says_what_comes_next_while_a_trial_runs(
    simulate: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[tuple[str, int, str, int]] = []
    submit = SimulatedExecutor.submit

    def noted(self: SimulatedExecutor, job: TrialSpec) -> None:
        said.append(("runs", job.trial, job.config_id, job.seed))
        submit(self, job)

    monkeypatch.setattr(SimulatedExecutor, "submit", noted)
    monkeypatch.setattr(
        SimulatedExecutor,
        "prepare",
        lambda _, job: said.append(("next", job.trial, job.config_id, job.seed)),
    )
    simulate(trials=30).run()
    for number, what in enumerate(said[:-1]):
        if what[0] == "next":  # told once, behind the trial that runs, and true
            assert said[number - 1][0] == "runs"
            assert said[number + 1] == ("runs", *what[1:])
    assert sum(what[0] == "next" for what in said) > 20  # some choices wait for the trial that runs


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("CUDA error: unspecified launch failure", DEVICE),
        ("CUDA error: an illegal memory access was encountered", DEVICE),
        ("CUDA error: MPS server is not ready to accept new MPS client requests", DEVICE),
        ("Triton Error [CUDA]: device-side assert triggered", DEVICE),
        ("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED", DEVICE),
        ("CUDA error: out of memory", MEMORY),
        ("cuDNN error: CUDNN_STATUS_ALLOC_FAILED", MEMORY),
        ("mat1 and mat2 shapes cannot be multiplied", ""),
    ],
)
def test_errors_that_a_neighbour_may_have_caused(text: str, kind: str) -> None:
    assert kind_of(RuntimeError(text)) == kind
