"""How many trials share a GPU: the rule on measurements, and what is decided on all kinds of machines."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.execution import choice, gpus, mps, share, share_measure
from nas.execution.dask.clusters import LocalWorkers
from nas.execution.dask.executor import DaskExecutor
from nas.execution.local import LocalExecutor
from nas.execution.process import TrialProcess
from nas.execution.settings import MachineSettings, WorkerSettings
from nas.execution.share_rule import CONTEXT_BYTES, Capacity, Level, choose, fitting
from nas.run.events import Event, parse
from nas.search.session import worker_settings
from nas.search.settings import SearchSettings
from nas.util.errors import UserError
from tests.execution.dask.fake_driver import Driver, until

GB = 10**9

NOW = {"time": "2026-01-01T00:00:00.000Z", "clock": 0.0}


def started(facts: dict[str, Any]) -> Event:
    return parse({**NOW, "event": "session", "phase": "start", **facts})


def speeds(*pairs: tuple[int, float]) -> list[Level]:
    """Levels of one configuration, from images a second of all trials together."""
    return [Level(trials, (trials * 1e5 / together,)) for trials, together in pairs]


@pytest.mark.parametrize(
    ("levels", "trials"),
    [
        # One H200, images/s: processes that take turns at width 64, and two at width 512.
        (speeds((1, 36_600), (4, 41_200)), 1),
        (speeds((1, 16_300), (2, 16_300)), 1),
        # What MPS may bring.
        (speeds((1, 40_000), (2, 78_000), (4, 140_000), (8, 165_000), (16, 150_000)), 4),
        (speeds((1, 40_000), (2, 78_000), (4, 140_000), (8, 200_000), (16, 380_000)), 16),
        (speeds((1, 40_000), (2, 46_000), (4, 140_000)), 1),  # nothing is measured behind a bad step
        (speeds((1, 40_000)), 1),
        # All configurations count by the time they take: a dear one that does not gain outweighs cheap ones.
        ([Level(1, (1.0, 1.0, 60.0)), Level(2, (1.0, 1.0, 120.0))], 1),
        ([Level(1, (1.0, 1.0, 3.0)), Level(2, (1.0, 1.2, 3.2))], 2),
    ],
)
def test_a_doubling_is_made_if_it_pays(levels: list[Level], trials: int) -> None:
    assert choose(levels).trials == trials


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=5))
def test_the_choice_is_never_slower_than_one_trial(seconds: list[float]) -> None:
    levels = [Level(2**index, (one,)) for index, one in enumerate(seconds)]
    chosen = choose(levels)
    assert chosen.throughput >= levels[0].throughput
    assert choose(levels[: levels.index(chosen) + 1]) == chosen  # what comes later has no say


@pytest.mark.parametrize(
    ("capacity", "trials"),
    [
        (Capacity(140 * GB, 2 * GB, 100 * GB, 3 * GB, 16), 16),
        (Capacity(140 * GB, 30 * GB, 100 * GB, 3 * GB, 16), 4),
        (Capacity(24 * GB, 3 * GB, 16 * GB, 3 * GB, 16), 4),  # the machine's memory decides
        (Capacity(140 * GB, 2 * GB, 100 * GB, 3 * GB, 4), 4),
        (Capacity(GB, 2 * GB, GB, 3 * GB, 1), 1),
        (Capacity(10 * CONTEXT_BYTES, 0, 100 * GB, 0, 64), 9),
    ],
)
def test_no_more_trials_than_memory_and_cores_hold(capacity: Capacity, trials: int) -> None:
    assert fitting(capacity) == trials


@pytest.fixture
def settings(tmp_path: Path) -> WorkerSettings:
    return worker_settings(SearchSettings(), tmp_path / "run" / "checkpoints")


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """Answers in the place of trial processes: eight together are four times as fast as one."""
    seen: list[dict[str, str]] = []

    def measure(_: object, environment: dict[str, str], *rest: object) -> tuple[Level, ...]:
        seen.append(environment)
        return tuple(speeds((1, 10.0), (2, 20.0), (4, 30.0), (8, 40.0), (16, 40.0)))

    monkeypatch.setattr(share, "measure", measure)
    monkeypatch.setattr(share, "starts", lambda _, environment: seen.append(environment))
    return seen


@pytest.fixture
def use(short_folder: Path) -> Iterator[Any]:
    """Settles, and closes at the end."""
    with contextlib.ExitStack() as stack:

        def settle(machine: MachineSettings, settings: WorkerSettings, *rest: Any) -> share.GpuSharing:
            return stack.enter_context(contextlib.closing(share.decide(machine, settings, *rest)))

        yield settle


def test_in_a_short_search_nothing_is_measured(
    driver: Driver, settings: WorkerSettings, measured: list[Any], use: Any
) -> None:
    shared = use(MachineSettings(), settings, None, 45.0)
    assert (shared.trials, shared.service) == (1, "none")
    assert shared.reason.endswith("takes a minute of 45s")
    assert measured == []
    assert (
        share.previous([started(orjson.loads(orjson.dumps(shared.facts())))]) is None
    )  # a longer search, resumed, measures


def test_auto_takes_what_was_measured_and_a_resume_the_same(
    driver: Driver, settings: WorkerSettings, measured: list[Any], use: Any
) -> None:
    driver.listing.write_text("GPU 0: NVIDIA H200 (UUID: GPU-aaaa)\nGPU 1: NVIDIA H200 (UUID: GPU-bbbb)\n")
    machine = MachineSettings()
    shared = use(machine, settings)
    assert (shared.trials, shared.gpus, shared.service) == (8, 2, "private")
    assert shared.gain == pytest.approx(4.0)
    assert measured[0]["CUDA_VISIBLE_DEVICES"] == "GPU-aaaa"
    assert measured[0]["CUDA_MPS_PIPE_DIRECTORY"] == shared.environment["CUDA_MPS_PIPE_DIRECTORY"]
    executor = choice.choose(machine, settings, shared)
    assert isinstance(executor, DaskExecutor)
    assert executor.wanted == 16
    assert executor._settings.environment == shared.environment
    shared.close()
    assert not driver.daemons()

    facts = orjson.loads(orjson.dumps(shared.facts()))  # as the journal has it
    events = [started(facts), parse({**NOW, "event": "later"}), started({})]
    measured.clear()
    again = use(machine, settings, share.previous(events))
    assert (again.trials, again.levels, again.service) == (8, shared.levels, "private")
    assert "as measured before" in again.reason
    assert len(measured) == 1  # that processes start was tried, their speed was not measured
    driver.listing.write_text("GPU 0: NVIDIA L4 (UUID: GPU-cccc)\n")
    use(machine, settings, share.previous(events))
    assert len(measured) == 2  # another GPU: measured anew


@pytest.mark.parametrize(
    "facts",
    [
        *({"sharing": sharing} for sharing in (None, [], {}, {"levels": [], "cards": []}, {"levels": 3})),
        {"sharing": {"levels": [[1, [0.0]], [2, [1.0]]], "cards": []}},
        {"sharing": {"levels": [[1, ["x"]]], "cards": []}},
        {"sharing": {"levels": [[10**9, [1.0]]], "cards": []}},
        {"sharing": {"levels": [[0, [1.0]]], "cards": []}},
    ],
)
def test_a_journal_from_anywhere_does_not_decide(facts: dict[str, Any]) -> None:
    assert share.previous([started(facts)]) is None


def test_one_trial_that_was_measured_needs_no_daemon(
    driver: Driver, settings: WorkerSettings, use: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(share, "measure", lambda *_: tuple(speeds((1, 16_300), (2, 16_300))))
    shared = use(MachineSettings(), settings)
    assert (shared.trials, shared.service, shared.environment) == (1, "none", {})
    assert shared.reason == "one trial at a time on a GPU: 2 together 1.00 times one's speed"
    assert not driver.daemons()
    assert isinstance(choice.choose(MachineSettings(), settings, shared), LocalExecutor)
    events = [started(shared.facts())]
    again = use(MachineSettings(), settings, share.previous(events))
    assert (again.trials, again.service) == (1, "none")
    assert len(driver.asked("start")) == 1


@pytest.mark.parametrize(
    ("flags", "trials", "workers", "daemons"),
    [
        ({"trials_per_gpu": 1}, 1, 1, 0),
        ({"reference": True}, 1, 1, 0),
        ({"trials_per_gpu": 3}, 3, 3, 1),
        ({"workers": 1}, 1, 1, 0),
        ({"workers": 4}, 4, 4, 1),
        ({"device": "cpu", "workers": 4}, 1, 4, 0),
        ({"device": "cuda:0", "trials_per_gpu": 2}, 2, 2, 1),
    ],
)
def test_a_number_is_taken_as_it_is(
    driver: Driver,
    settings: WorkerSettings,
    measured: list[Any],
    use: Any,
    flags: dict[str, Any],
    trials: int,
    workers: int,
    daemons: int,
) -> None:
    machine = MachineSettings(**flags)
    shared = use(machine, replace(settings, device=machine.device))
    assert (shared.trials, choice.count(machine, shared)) == (trials, workers)
    assert len(driver.daemons()) == daemons


def test_without_a_gpu_there_is_nothing_to_decide(
    settings: WorkerSettings, use: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    shared = use(MachineSettings(), settings)
    assert (shared.trials, shared.gpus, shared.facts()) == (1, 0, {})
    assert isinstance(choice.choose(MachineSettings(), settings, shared), LocalExecutor)
    assert choice.count(MachineSettings(workers=3), shared) == 3


@pytest.mark.parametrize(("asked", "trials"), [("auto", 1), (4, 4)])
@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ("missing", "nvidia-cuda-mps-control is not installed"),
        ("refuse", "permission denied"),
        ("mute", "no device that can be shared"),
        ("mig", "it is split up"),
        ("nowhere", "CUDA_MPS_PIPE_DIRECTORY is set to"),
        ("client", "a trial process finds no GPU under MPS"),
    ],
)
def test_without_mps_trials_do_not_share_and_one_line_says_why(
    driver: Driver,
    settings: WorkerSettings,
    measured: list[Any],
    use: Any,
    monkeypatch: pytest.MonkeyPatch,
    trouble: str,
    reason: str,
    asked: Any,
    trials: int,
) -> None:
    def fails(*_: object) -> None:
        raise mps.MpsUnavailable("a trial process finds no GPU under MPS")

    if trouble == "missing":
        (driver.state / "bin" / "nvidia-cuda-mps-control").unlink()
    elif trouble == "mig":
        driver.listing.write_text(
            "GPU 0: NVIDIA A100 (UUID: GPU-aaaa)\n  MIG 3g.20gb     Device  0: (UUID: MIG-1111)\n"
        )
    elif trouble == "nowhere":
        monkeypatch.setenv("CUDA_MPS_PIPE_DIRECTORY", "/nowhere")
    elif trouble == "client":
        monkeypatch.setattr(share, "measure", fails)
        monkeypatch.setattr(share, "starts", fails)
    else:
        driver.set(trouble)
    monkeypatch.setattr(mps, "_ANSWER", 1.0)
    shared = use(MachineSettings(trials_per_gpu=asked), settings)
    assert shared.trials == trials
    assert reason in shared.reason
    assert "\n" not in shared.reason
    assert (shared.environment, shared.levels) == ({}, ())
    assert not driver.daemons()


def test_gpus_of_different_kinds_are_not_measured(
    driver: Driver, settings: WorkerSettings, measured: list[Any], use: Any
) -> None:
    driver.listing.write_text("GPU 0: NVIDIA H200 (UUID: GPU-aaaa)\nGPU 1: NVIDIA L4 (UUID: GPU-bbbb)\n")
    shared = use(MachineSettings(), settings)
    assert shared.trials == 1
    assert "of different kinds (NVIDIA H200, NVIDIA L4)" in shared.reason


def test_a_daemon_that_was_there_is_used_and_stays(
    driver: Driver, settings: WorkerSettings, measured: list[Any], use: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import subprocess

    subprocess.run(["nvidia-cuda-mps-control", "-d"], check=True)
    until(mps.answers)
    shared = use(MachineSettings(), settings)
    assert (shared.trials, shared.service, shared.environment) == (8, "found", {})
    assert shared.check_daemon() == ""
    shared.close()
    assert len(driver.daemons()) == 1
    assert len(driver.asked("start")) == 1
    assert not driver.asked("quit")


def test_a_daemon_that_dies_is_replaced_or_trials_go_on_one_at_a_time(
    driver: Driver, settings: WorkerSettings, measured: list[Any], use: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(share, "_LOOK", 0.0)
    shared = use(MachineSettings(), settings)
    site = LocalWorkers(8, shared)
    assert site.refresh() == ""
    driver.kill_daemons()
    assert "started again" in site.refresh()
    driver.kill_daemons()
    driver.set("refuse")
    assert not site.one_each
    assert "does not start again" in site.refresh()
    assert site.one_each
    assert site.refresh() == ""
    assert site.one_each
    assert shared.trials == 1
    assert shared.environment == {}


def test_models_of_gpus() -> None:
    listing = (
        "GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-aaaa)\n"
        "  MIG 3g.20gb     Device  0: (UUID: MIG-1111)\n"
        "GPU 1: NVIDIA L4 (UUID: GPU-bbbb)\n"
    )
    names = ["GPU-aaaa", "0", "MIG-1111", "GPU-bbbb", "1", "7"]
    assert gpus.models(names, listing) == ["MIG", "MIG", "MIG", "NVIDIA L4", "NVIDIA L4", ""]


@pytest.mark.parametrize("value", ["auto", "1", "3"])
def test_the_flag_takes_auto_or_a_number(value: str) -> None:
    from nas.util import cli

    parsed = cli.parse(MachineSettings, prog="x", description="x", args=["--trials-per-gpu", value])
    assert parsed.trials_per_gpu == (value if value == "auto" else int(value))


@pytest.mark.parametrize("value", ["0", "many", "1.5"])
def test_the_flag_takes_nothing_else(value: str) -> None:
    from nas.util import cli

    with pytest.raises(UserError, match="trials-per-gpu"):
        cli.parse(MachineSettings, prog="x", description="x", args=["--trials-per-gpu", value])
    stored = SearchSettings().to_json()
    stored["machine"]["trials_per_gpu"] = value
    with pytest.raises(UserError):
        SearchSettings.from_json(stored)


def test_processes_are_timed_in_the_same_seconds(
    tmp_path: Path, settings: WorkerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two real trial processes, of networks that say when they train."""
    room = str(Path(__file__).parents[1])
    monkeypatch.setattr(sys, "path", [room, *sys.path])
    monkeypatch.setattr(share_measure, "_WINDOW", 0.3)
    small = replace(
        settings,
        space="faulty:FaultySpace",
        width="tiny",
        dataset="digits",
        image_size=8,
        max_images=200,
        device="cpu",
        threads=1,
    )
    with contextlib.ExitStack() as stack:
        processes = [TrialProcess(small) for _ in range(2)]
        for process in processes:
            stack.callback(process.close)
            process.receive()
        answers = share_measure._together(processes, {"fault": "none"})
        assert all(answer.epoch_seconds > 0 and answer.resident > 50_000_000 for answer in answers)
        with pytest.raises(mps.MpsUnavailable, match="out of memory"):
            share_measure._together(processes, {"fault": "memory"})
        with pytest.raises(mps.MpsUnavailable, match="SIGSEGV"):
            share_measure._together(processes, {"fault": "segfault"})
