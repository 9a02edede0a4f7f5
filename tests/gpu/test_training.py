"""Trials in the search's own workplace: fast against plain, equal seeds, out of memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import search_spaces
from benchmarks import trial
from nas.data.images import ImageSet, checked
from nas.execution.messages import EpochDone, Note, TrialEnded, TrialSpec
from nas.execution.trial_host import TrialHost
from nas.trial.settings import TrainSettings
from search_spaces.base import config_id

SPACE = search_spaces.get("nexception")
EPOCHS = 2
BATCH = 32


class Reports:
    """Stands where the pipe to the search is."""

    def __init__(self) -> None:
        self.sent: list[object] = []

    def send(self, report: object) -> None:
        self.sent.append(report)

    def poll(self, timeout: float | None = 0.0) -> bool:
        return False

    def of(self, kind: type) -> list[Any]:
        return [report for report in self.sent if isinstance(report, kind)]


Trial = Callable[..., Reports]


@pytest.fixture(name="run")
def _run(device: str, tmp_path: Path, request: pytest.FixtureRequest) -> Trial:
    """Trains a configuration, on 32x32 noise with some signal; returns the reports."""
    if device == "cpu":  # the twin, which shows the tests' own faults
        request.getfixturevalue("shallow")

    def run(
        config: dict[str, Any],
        width: int = 16,
        batch: int = BATCH,
        reference: bool = False,
        graphs: bool | None = None,
        **changes: Any,
    ) -> Reports:
        images = bright(5 * batch)
        place = trial.TrialSetup(width, 1, device, batch, threads=1, reference=reference)
        told = trial.settings(place, tmp_path, max_epochs=EPOCHS)
        train = TrainSettings(batch_size=batch, **changes)
        told = replace(told, train=train, val_fraction=0.2, cuda_graphs=graphs)
        reports = Reports()
        host = TrialHost(told, images, reports)  # type: ignore[arg-type]
        host.run(TrialSpec(1, config_id(config), config, EPOCHS, seed=3, timeout=600.0))
        return reports

    return run


def bright(n: int) -> ImageSet:
    """Noise, the brighter the higher the class."""
    labels = np.arange(n) % 4
    pixels = np.random.default_rng(0).integers(0, 160, (n, 32, 32, 3)) + 24 * labels[:, None, None, None]
    return checked("bright", pixels.astype(np.uint8), labels)


def curve(reports: Reports) -> list[tuple[float, ...]]:
    (end,) = reports.of(TrialEnded)
    assert end.error is not None, end.reason
    rows = [report.metrics for report in reports.of(EpochDone)]
    return [tuple(row[key] for key in ("train_loss", "val_loss", "top1")) for row in rows]


@pytest.mark.parametrize("point", ["xception", "nexception", "costliest"])
def test_the_fast_trial_learns_what_the_plain_one_does(run: Trial, point: str) -> None:
    config = SPACE.points[point]
    fast, plain = curve(run(config)), curve(run(config, reference=True))
    assert len(fast) == EPOCHS
    for one, other in zip(fast, plain, strict=True):
        assert one[:2] == pytest.approx(other[:2], rel=0.05)


@pytest.mark.parametrize("point", ["xception", "costliest"])
@pytest.mark.parametrize("optimizer", ["lamb", "adamw", "sgd"])
def test_a_recorded_trial_is_the_eager_one(run: Trial, point: str, optimizer: str) -> None:
    config = SPACE.points[point]
    hard = {"optimizer": optimizer, "mixup": 0.2, "cutmix": 1.0, "drop_path_rate": 0.1}
    recorded, eager = curve(run(config, **hard)), curve(run(config, graphs=False, **hard))
    for one, other in zip(recorded, eager, strict=True):
        assert one == pytest.approx(other, rel=1e-4)


def test_nothing_fast_was_given_up(run: Trial) -> None:
    """On a GPU a step that is not recorded, or a kernel that does not compile, is a note."""
    for point in SPACE.points:
        notes = [note.text for note in run(SPACE.points[point]).of(Note)]
        assert notes == [], point


@pytest.mark.parametrize("optimizer", ["lamb", "adamw", "sgd"])
def test_equal_seeds_give_equal_results(run: Trial, optimizer: str) -> None:
    config = SPACE.points["nexception"]
    one, other = (curve(run(config, optimizer=optimizer)) for _ in range(2))
    assert one == other


def test_out_of_memory_is_retried_in_micro_batches(run: Trial, device: str) -> None:
    """Of a narrow network on many images, whose memory is that of a batch and not of the weights."""
    config, width = SPACE.points["nexception"], 16 if device == "cpu" else 64
    batch = BATCH if device == "cpu" else 512
    (first,) = run(config, width, batch, reference=True).of(TrialEnded)
    assert first.error is not None, first.reason
    for reference in (True, False):
        with at_most(device, int(first.metrics["peak_memory"]), batch):
            reports = run(config, width, batch, reference=reference)
        (end,) = reports.of(TrialEnded)
        assert end.error is not None, end.reason
        assert reference is False or end.metrics["micro_batch"] == batch // 2
        # Faster layers keep less: with them all may fit.
        assert ("micro_batch" in end.metrics) == any("out of memory" in n.text for n in reports.of(Note))
    curve(run(config, width, batch))  # and the process is as good as before


@contextmanager
def at_most(device: str, needed: int, batch: int) -> Iterator[None]:
    """Leaves a batch too little memory, and half a batch enough."""
    if device == "cpu":
        with _refused_on_a_cpu(batch):
            yield
        return
    place = torch.device(device)
    torch.cuda.empty_cache()
    whole = torch.cuda.get_device_properties(place).total_memory
    torch.cuda.set_per_process_memory_fraction(0.8 * needed / whole, place)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, place)


@contextmanager
def _refused_on_a_cpu(batch: int) -> Iterator[None]:
    """As a GPU's allocator refuses: in the midst of a forward pass of a whole batch."""

    def refuse(module: torch.nn.Module, inputs: tuple[Any, ...]) -> None:
        if module.training and isinstance(module, torch.nn.Conv2d) and len(inputs[0]) > batch // 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    handle = torch.nn.modules.module.register_module_forward_pre_hook(refuse)
    try:
        yield
    finally:
        handle.remove()
