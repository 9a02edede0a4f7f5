"""The real trial process, with every fault a trial can have."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from nas.execution.local import LocalExecutor
from nas.execution.messages import EpochDone, Note, Report, TrialEnded, TrialPaused, TrialSpec
from nas.execution.settings import WorkerSettings
from nas.util.errors import UserError
from search_spaces.base import config_id
from tests.execution.in_thread import install
from tests.execution.small_workers import settings

HERE = str(Path(__file__).parent)
eager = partial(settings, checkpoint_every=0.0)  # with a checkpoint after each epoch


def spec(trial: int, fault: str = "none", epochs: int = 2, timeout: float = 120.0) -> TrialSpec:
    config: dict[str, str | int | float | bool] = {"fault": fault}
    return TrialSpec(trial, config_id(config), config, epochs, seed=1, timeout=timeout)


def finish(executor: LocalExecutor, job: TrialSpec) -> tuple[TrialEnded | TrialPaused, list[Report]]:
    executor.submit(job)
    reports: list[Report] = []
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline:
        reports += executor.poll(0.2)
        if reports and isinstance(reports[-1], TrialEnded | TrialPaused):
            return reports[-1], reports
    raise AssertionError(f"no end, only {reports}")


@pytest.fixture(scope="module")
def executor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalExecutor]:
    sys.path.insert(0, HERE)  # spawned processes get this path too
    place = LocalExecutor(eager(tmp_path_factory.mktemp("faults")))
    place.start()
    yield place
    place.close()
    sys.path.remove(HERE)


def test_it_says_what_it_trains_on(executor: LocalExecutor) -> None:
    facts = executor.start()
    assert facts.data.train_images == 160
    assert facts.data.val_images == 40
    assert facts.hardware.threads == 1
    assert facts.width == 16


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("exception", "ValueError: this network cannot be trained"),
        ("nan", "loss is nan"),
        ("memory", "out of memory"),
        ("host_memory", "allocate memory"),
        ("segfault", "SIGSEGV"),
        ("sigkill", "SIGKILL"),
        ("exit", "code 7"),
    ],
)
def test_a_fault_is_a_crash_with_its_reason_and_the_next_trial_runs(
    executor: LocalExecutor, fault: str, reason: str
) -> None:
    ended, _ = finish(executor, spec(1, fault))
    assert isinstance(ended, TrialEnded)
    assert ended.error is None
    assert reason in ended.reason
    assert "\n" not in ended.reason
    after, _ = finish(executor, spec(2))
    assert isinstance(after, TrialEnded)
    assert after.error is not None


@pytest.mark.parametrize("fault", ["hang", "gil"])
def test_a_hanging_trial_is_ended_at_its_timeout(executor: LocalExecutor, fault: str) -> None:
    ended, _ = finish(executor, spec(1, fault, timeout=2.0))
    assert isinstance(ended, TrialEnded)
    assert "no end after 2.0s (--trial-timeout)" in ended.reason
    after, _ = finish(executor, spec(2))
    assert isinstance(after, TrialEnded)
    assert after.error is not None


def test_out_of_memory_is_tried_once_more_with_half_the_micro_batch(executor: LocalExecutor) -> None:
    ended, reports = finish(executor, spec(1, "memory_once"))
    assert isinstance(ended, TrialEnded)
    assert ended.error is not None
    assert ended.metrics["micro_batch"] == 8
    assert any(isinstance(report, Note) and "out of memory" in report.text for report in reports)


@pytest.fixture
def in_thread(one_thread: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """For what does not depend on a process of its own."""
    install(monkeypatch)
    monkeypatch.syspath_prepend(HERE)


def test_a_promoted_trial_continues_and_equals_a_straight_one(
    executor: LocalExecutor, in_thread: None, tmp_path: Path
) -> None:
    first, _ = finish(executor, spec(1, epochs=2))
    promoted, _ = finish(executor, spec(2, epochs=4))
    assert isinstance(promoted, TrialEnded)
    assert promoted.metrics["from_epoch"] == 2
    fresh = LocalExecutor(eager(tmp_path))
    fresh.start()
    straight, _ = finish(fresh, spec(1, epochs=4))
    fresh.close()
    assert isinstance(straight, TrialEnded)
    assert straight.metrics["from_epoch"] == 0
    assert straight.metrics["val_loss"] == promoted.metrics["val_loss"]
    assert straight.error == promoted.error
    assert isinstance(first, TrialEnded)
    assert first.metrics["val_loss"] != promoted.metrics["val_loss"]


def test_a_checkpoint_is_left_by_each_rung_but_the_last(in_thread: None, tmp_path: Path) -> None:
    executor = LocalExecutor(settings(tmp_path, checkpoint_every=3600.0))
    try:
        executor.start()
        for epochs in (2, 4):
            ended, _ = finish(executor, spec(1, epochs=epochs))
            assert isinstance(ended, TrialEnded)
            names = [path.stem for path in (tmp_path / "checkpoints").iterdir()]
            assert names == [f"{config_id({'fault': 'none'})}-2"], f"after {epochs} of 4 epochs"
    finally:
        executor.close()


def test_epochs_that_the_journal_lacks_are_told_again(executor: LocalExecutor) -> None:
    finish(executor, spec(1, epochs=4))
    _, reports = finish(executor, spec(2, epochs=4))
    assert [report.epoch for report in reports if isinstance(report, EpochDone)] == [1, 2, 3, 4]


def test_a_paused_trial_goes_on_from_its_checkpoint(in_thread: None, tmp_path: Path) -> None:
    place = LocalExecutor(eager(tmp_path, space="nexception", image_size=32, max_epochs=9, max_images=200))
    place.start()
    config = {**__import__("search_spaces").get("nexception").default}
    job = TrialSpec(1, config_id(config), config, 9, seed=1, timeout=300)
    place.submit(job)
    reports: list[Report] = []
    while not any(isinstance(report, EpochDone) for report in reports):
        reports += place.poll(0.2)
    place.pause()
    while not isinstance(reports[-1], TrialPaused | TrialEnded):
        reports += place.poll(0.2)
    done = max(report.epoch for report in reports if isinstance(report, EpochDone))
    assert isinstance(reports[-1], TrialPaused)
    assert done < 9
    place.close()
    again = LocalExecutor(eager(tmp_path, space="nexception", image_size=32, max_epochs=9, max_images=200))
    again.start()
    ended, _ = finish(again, job)
    again.close()
    assert isinstance(ended, TrialEnded)
    assert ended.metrics["from_epoch"] >= done


@pytest.mark.parametrize("fault", ["hang", "gil"])
def test_the_trial_process_ends_when_the_search_is_killed(tmp_path: Path, fault: str) -> None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:  # the search: starts a trial that hangs, tells its process's number, is killed
        try:
            sys.path.insert(0, HERE)
            place = LocalExecutor(eager(tmp_path))
            place.start()
            place.submit(spec(1, fault))
            time.sleep(1)
            assert place._process is not None
            os.write(writer, str(place._process.process.pid).encode())
            time.sleep(60)
        finally:
            os._exit(1)
    number = int(os.read(reader, 20))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    deadline = time.monotonic() + 20
    while alive(number) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not alive(number)


def alive(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cuda_graphs": True}, "cuda_graphs: the device is cpu"),
        ({"width": "huge"}, "width=huge"),
        ({"space": "nowhere:Space"}, "nowhere"),
    ],
)
def test_bad_settings_are_one_line(
    tmp_path: Path, in_thread: None, changes: dict[str, object], message: str
) -> None:
    refused(eager(tmp_path, **changes), message)


def test_a_process_that_refuses_says_so_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(HERE)
    refused(eager(tmp_path, dataset="imagenet"), "imagenet")


def refused(wrong: WorkerSettings, message: str) -> None:
    with pytest.raises(UserError) as error:
        LocalExecutor(wrong).start()
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not wrong.checkpoints.exists()
