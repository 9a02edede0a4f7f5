"""Trials as the trial process runs them, on a pretended GPU: of a search, a plan or a confirmation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import search_spaces
from nas.data.images import checked
from nas.execution import messages
from nas.execution.messages import EpochDone, Measurement, Note, TrialEnded, TrialPaused, TrialSpec
from nas.execution.settings import WorkerSettings
from nas.execution.trial_host import TrialHost
from nas.trial.settings import TrainSettings
from nas.util.errors import UserError

SPACE = search_spaces.get("nexception")
XCEPTION, NEXCEPTION = SPACE.points["xception"], SPACE.points["nexception"]

pytestmark = pytest.mark.usefixtures("one_thread", "shallow")


class Pipe:
    """The search's end of a trial process's pipe: takes reports, asks for a pause after some epochs."""

    def __init__(self, pause_after=None):
        self.sent = []
        self._pause_after = pause_after

    def send(self, report):
        self.sent.append(report)

    def poll(self):
        done = sum(isinstance(report, EpochDone) for report in self.sent)
        return self._pause_after is not None and done + 1 >= self._pause_after

    def recv(self):
        return messages.PAUSE

    @property
    def notes(self):
        """But those on kernels that need a driver, which there is none of."""
        notes = [report.text for report in self.sent if isinstance(report, Note)]
        return [note for note in notes if "computed plainly instead" not in note]


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return checked("noise", rng.integers(0, 256, (20, 16, 16, 3), dtype=np.uint8), np.arange(20) % 2)


@pytest.fixture
def settings(tmp_path):
    return WorkerSettings(
        space="nexception",
        width="16",
        dataset="noise",
        data_dir=tmp_path,
        image_size=None,
        max_images=None,
        val_fraction=0.25,
        seed=0,
        max_epochs=2,
        train=TrainSettings(batch_size=12),
        device="auto",
        threads=None,
        checkpoints=tmp_path / "checkpoints",
        quota_bytes=10**9,
        checkpoint_every=1e9,
        cuda_graphs=False,
    )


def spec(config=NEXCEPTION, epochs=2, **more):
    return TrialSpec(trial=1, config_id="a1", config=config, epochs=epochs, seed=3, timeout=60, **more)


def trial(settings, images, order, pipe=None):
    pipe = pipe or Pipe()
    host = TrialHost(settings, images, pipe)
    host.run(order)
    return pipe.sent[-1], pipe, host


CASES = {
    "as it is": (NEXCEPTION, {}, False),
    "as it is, with graphs": (NEXCEPTION, {}, True),
    "everything mixed, sgd, cosine": (
        XCEPTION | {"se": True, "norm": "layer"},
        {"mixup": 0.2, "cutmix": 1.0, "loss": "bce", "optimizer": "sgd", "schedule": "cosine"},
        False,
    ),
}


@pytest.mark.parametrize(("config", "train", "graphs"), CASES.values(), ids=CASES)
def test_a_trial_runs_pauses_and_goes_on_to_the_same_end(
    fake_cuda, settings, images, tmp_path, config, train, graphs
):
    gpu = fake_cuda()
    settings = replace(settings, train=TrainSettings(**{"batch_size": 12, **train}), cuda_graphs=graphs)
    whole, pipe, host = trial(settings, images, spec(config))
    assert isinstance(whole, TrialEnded)
    assert whole.error is not None, whole.reason
    assert pipe.notes == []
    assert host.facts.hardware.device == "cuda:0 (Pretended GPU)"
    assert whole.metrics["peak_memory"] > 4 * whole.metrics["params"]
    assert "empty_cache" in gpu.calls

    other = replace(settings, checkpoints=tmp_path / "other")
    paused, _, _ = trial(other, images, spec(config), Pipe(pause_after=1))
    assert isinstance(paused, TrialPaused)
    again, pipe, _ = trial(other, images, spec(config))
    assert pipe.notes == []
    assert again.metrics["from_epoch"] == 1
    kept = {"val_loss", "train_loss", "top1", "params"}
    assert {k: again.metrics[k] for k in kept} == {k: whole.metrics[k] for k in kept}


def test_a_gpu_with_a_number(fake_cuda, settings, images):
    fake_cuda(count=2)
    ended, _, host = trial(replace(settings, device="cuda:1"), images, spec(epochs=1))
    assert ended.error is not None, ended.reason
    assert str(host.facts.hardware.device).startswith("cuda:1")
    assert torch.cuda.max_memory_allocated(0) == 0 < torch.cuda.max_memory_allocated(1)


def test_the_plan_s_and_the_width_s_own_choice(fake_cuda, settings, images):
    fake_cuda()
    for graphs in (False, True):
        host = TrialHost(replace(settings, cuda_graphs=graphs), images, Pipe())
        found = host.measure(NEXCEPTION)
        assert isinstance(found, Measurement)
        assert found.train_seconds > 0 < found.checkpoint_bytes
    assert TrialHost(replace(settings, width="auto"), images, Pipe()).facts.width == SPACE.presets["paper"]


def test_memory_that_is_far_too_short_is_a_crash_with_its_reason(fake_cuda, settings, images):
    gpu = fake_cuda()
    whole, _, host = trial(settings, images, spec(XCEPTION, epochs=1))
    gpu.memory.size = int(0.1 * whole.metrics["peak_memory"])
    host.run(replace(spec(XCEPTION, epochs=1), config_id="b2"))
    ended = host._pipe.sent[-1]
    assert ended.error is None
    assert ended.reason.startswith("OutOfMemoryError: CUDA out of memory")


def test_a_checkpoint_that_fails_for_a_reason_of_the_program_is_named_and_costs_no_trial(
    fake_cuda, settings, images, monkeypatch
):
    fake_cuda()

    def broken(state):
        raise RuntimeError("Expected all tensors to be on the same device\nmore")

    monkeypatch.setattr("nas.trial.packing.pack", broken)
    ended, pipe, _ = trial(replace(settings, max_epochs=4), images, spec(epochs=1))
    assert ended.error is not None
    assert pipe.notes == [
        "trial 1: no checkpoint: RuntimeError: Expected all tensors to be on the same device"
    ]


def test_graphs_want_a_gpu(fake_cuda, settings, images):
    fake_cuda(count=0)
    with pytest.raises(UserError, match="cuda_graphs: the device is cpu"):
        TrialHost(replace(settings, cuda_graphs=True), images, Pipe())
