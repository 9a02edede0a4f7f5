"""Checkpoints written beside the training: what is promised is on the disk before it is reported."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nas.data.images import checked
from nas.execution import trial_host as bench_module
from nas.execution.messages import EpochDone, Note, TrialEnded, TrialSpec
from nas.execution.saving import Saver
from nas.execution.trial_host import TrialHost
from nas.trial.checkpoint import CheckpointNotWritten, CheckpointStore
from nas.trial.snapshot import Snapshot
from tests.execution.small_workers import settings

SPEC = TrialSpec(1, "a" * 12, {"fault": "none"}, epochs=2, seed=1, timeout=10)
CPU = torch.device("cpu")


class SlowStore(CheckpointStore):
    """Writes when it is let."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, 10**9)
        self.gate = threading.Event()
        self.begun = 0

    def save(self, config_id: str, epoch: int, state: dict[str, Any]) -> None:
        self.begun += 1
        assert self.gate.wait(20)
        super().save(config_id, epoch, state)


def saved(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.pt"))


def test_what_is_written_is_the_state_at_its_epoch(tmp_path: Path) -> None:
    store = SlowStore(tmp_path)
    weights = torch.ones(5)
    state = {"model": {"w": weights}, "lr": [0.1]}
    saver = Saver(store, print, beside=True)
    saver.save(SPEC, 1, Snapshot(lambda: state, CPU))
    weights.zero_()  # the next epoch
    state["lr"][0] = 0.2  # type: ignore[index]
    assert not saved(tmp_path)
    store.gate.set()
    saver.wait()
    found = store.latest(SPEC.config_id, 9)
    assert found is not None
    assert found[0] == 1
    assert found[1]["model"]["w"].tolist() == [1.0] * 5
    assert found[1]["lr"] == [0.1]


def test_one_is_written_at_a_time(tmp_path: Path) -> None:
    store = SlowStore(tmp_path)
    saver = Saver(store, print, beside=True)
    saver.save(SPEC, 1, Snapshot(dict, CPU))
    second = threading.Thread(target=saver.save, args=(SPEC, 2, Snapshot(dict, CPU)))
    second.start()
    second.join(0.2)
    assert second.is_alive()
    assert store.begun == 1
    store.gate.set()
    second.join(20)
    saver.wait()
    assert saved(tmp_path) == [f"{SPEC.config_id}-2.pt"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (CheckpointNotWritten("disk full"), "disk full"),
        (TypeError("odd state\nline two"), "no checkpoint: TypeError: odd state"),
        (RuntimeError(""), "no checkpoint: RuntimeError: RuntimeError"),
    ],
)
def test_what_cannot_be_written_is_a_note_of_the_thread_that_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    store = CheckpointStore(tmp_path, 10**9)

    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(store, "save", fails)
    told: list[tuple[str, threading.Thread]] = []
    saver = Saver(store, lambda text: told.append((text, threading.current_thread())), beside=True)
    saver.save(SPEC, 1, Snapshot(dict, CPU))
    saver.wait()
    assert told == [(f"trial 1: {said}", threading.current_thread())]


def test_no_end_is_reported_before_its_checkpoint_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setattr(bench_module, "keep_freed_memory", lambda: None)
    monkeypatch.setattr(bench_module.gc, "freeze", lambda: None)
    threads = torch.get_num_threads()
    images = checked(
        "random",
        np.random.default_rng(0).integers(0, 255, (60, 8, 8, 3)).astype(np.uint8),
        np.arange(60) % 3,
    )
    store = SlowStore(tmp_path / "checkpoints")
    seen: list[tuple[str, list[str]]] = []

    class Pipe:
        """Notes what was on the disk at each report; the first report opens the way to it."""

        def poll(self) -> bool:
            return False

        def send(self, report: object) -> None:
            if not isinstance(report, Note):
                seen.append((type(report).__name__, saved(tmp_path / "checkpoints")))
            if isinstance(report, EpochDone) and report.epoch == SPEC.epochs:
                threading.Timer(0.3, store.gate.set).start()

    host = TrialHost(settings(tmp_path), images, Pipe())  # type: ignore[arg-type]
    host._saver = Saver(store, print, beside=True)
    host.run(SPEC)
    torch.set_num_threads(threads)
    name = f"{SPEC.config_id}-2.pt"
    assert seen == [
        (EpochDone.__name__, []),
        (EpochDone.__name__, []),  # while the checkpoint is still being written
        (TrialEnded.__name__, [name]),
    ]
    assert "faulty" in sys.modules
