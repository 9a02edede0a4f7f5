"""What is timed is a trial of the search's own workplace; what fails is told and no figure."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import torch

from benchmarks import configurations, contest
from benchmarks.occupancy import Occupancy
from benchmarks.plain import Loop
from benchmarks.search_utilisation import _covered
from benchmarks.trial import Epoch, StopWatching, TrialSetup, TrialWatcher, batch_size
from benchmarks.workload import SPACE
from nas.execution import trial_host
from nas.util.errors import UserError

pytestmark = pytest.mark.usefixtures("one_thread")
SMALL = TrialSetup(16, 3, batch_size=16, threads=1)


@pytest.mark.parametrize("reference", [False, True])
def test_a_watched_trial_is_one_of_the_search(monkeypatch: pytest.MonkeyPatch, reference: bool) -> None:
    calls = []
    real = trial_host.train

    def train(model: torch.nn.Module, *args: object, **kwargs: object) -> object:
        calls.append(kwargs)
        return real(model, *args, **kwargs)

    monkeypatch.setattr(trial_host, "train", train)
    epochs: list[Epoch] = []

    def watch(epoch: Epoch) -> None:
        epochs.append(epoch)
        if len(epochs) == 2:
            raise StopWatching

    place = TrialSetup(16, 3, batch_size=16, threads=1, reference=reference)
    watcher = TrialWatcher(place)
    watcher.watch(SPACE.points["xception"], watch)
    (call,) = calls
    assert (call["layers"] is None) == reference
    assert len({epoch.images for epoch in epochs}) == 1
    assert epochs[0].images in (48, 64)  # classes are split evenly
    assert 0 < epochs[0].done < epochs[1].done
    assert watcher.notes == []


def test_a_trial_that_crashes_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    watcher = TrialWatcher(SMALL)
    with pytest.raises(RuntimeError, match="the trial crashed: .*stem"):
        watcher.watch({**SPACE.default, "stem": "nonesuch"}, lambda _: None)


def test_the_batch_is_that_of_a_search_on_all_images() -> None:
    assert [batch_size(width) for width in (16, 64, 512)] == [64, 128, 256]
    assert batch_size(512, 16) == 16


@contextmanager
def process_of(way: contest.Method) -> Iterator[Connection]:
    near, far = Pipe()
    terms = contest.Conditions("cpu", 0.01, 16)
    thread = threading.Thread(target=contest.train, args=(far, way, terms), daemon=True)
    thread.start()
    yield near
    near.close()
    thread.join(30)
    assert not thread.is_alive()


@pytest.mark.parametrize("name", ["ours", contest.REFERENCE, "plain, no data"])
def test_a_process_answers_turn_by_turn_and_survives_a_network_that_fails(name: str) -> None:
    with process_of(contest.Method(name, 1)) as pipe:
        for width, fails in ((16, False), (3, True), (16, False)):
            pipe.send(("xception", width))
            answer = pipe.recv()
            assert bool(answer.failed) == fails
            assert answer.speed is None
            for _ in range(0 if fails else 2):
                pipe.send("turn")
                speed = pipe.recv().speed
                assert speed.by_clock > 0
                assert speed.by_cpu > 0
                assert 0 <= speed.validation < 1
                assert (speed.validation > 0) == name.startswith("ours")


def test_ways_are_known_by_name() -> None:
    assert [way.name for way in contest.chosen(["plain", "ours"], "cpu")] == ["plain", "ours"]
    assert contest.chosen([], "cpu") == contest.ways("cpu")
    assert contest.chosen(["plain fp16, no data"], "cuda")[0].amp == "fp16"
    with pytest.raises(UserError, match='--ways "plain fp16": must be one of "ours"'):
        contest.chosen(["plain fp16"], "cpu")


@pytest.mark.parametrize("amp", ["off", "bf16"])
def test_the_plain_loop_trains(amp: str) -> None:
    loop = Loop(torch.device("cpu"), amp, wanted_batch=8)  # type: ignore[arg-type]
    steps = loop.steps(SPACE.points["xception"], 16)
    assert [next(steps) for _ in range(2)] == [8, 8]


def test_random_configurations_come_to_a_harmonic_mean(tmp_path: Path) -> None:
    options = configurations.ConfigurationsSettings(
        count=3, steps=2, plain_every=2, batch_size=16, json=tmp_path / "f.json"
    )
    found = configurations.main(options)
    rates = [row["rate"] for row in found["rows"]]
    assert found["rate"] == pytest.approx(3 / sum(1 / rate for rate in rates))
    assert ["plain" in row for row in found["rows"]] == [True, False, True]
    assert found["before_max"] >= found["before_median"]
    assert 0 < found["share"] < 1
    assert found["notes"] == []
    assert (tmp_path / "f.json").exists()


def test_nothing_in_time_is_no_figure() -> None:
    found = configurations.main(
        configurations.ConfigurationsSettings(count=3, steps=2, batch_size=16, minutes=-1)
    )
    assert found["configurations"] == 0
    assert math.isnan(found["rate"])
    with pytest.raises(UserError, match="--epochs 1: must be at least 2"):
        configurations.ConfigurationsSettings(epochs=1)


def test_time_that_trials_share_counts_once() -> None:
    assert _covered([(0.0, 2.0), (1.0, 3.0), (1.5, 2.5), (5.0, 6.0)]) == pytest.approx(4.0)


def test_the_driver_is_asked_how_busy_the_gpu_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "nvidia-smi"
    script.write_text('#!/bin/sh\necho "$@" >> "$0.asked"\necho "[N/A]"\necho 100\necho 50\nexec sleep 60\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-a,GPU-b")
    began = time.time()
    with Occupancy("cuda:1") as occupancy:
        deadline = time.monotonic() + 20
        while math.isnan(occupancy.between(began, math.inf)) or occupancy.between(began, math.inf) == 1:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert occupancy.between(began, math.inf) == pytest.approx(0.75)
    assert math.isnan(occupancy.between(0, began - 1))
    assert "--id=GPU-b" in (tmp_path / "nvidia-smi.asked").read_text()
    with Occupancy("cpu") as unknown:
        pass
    assert math.isnan(unknown.between(0, math.inf))
