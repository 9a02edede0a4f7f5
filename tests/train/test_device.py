"""``--device`` of ``nas.train`` takes what it takes in every command."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.train import devices
from nas.train.settings import TrainCommandSettings
from nas.util.errors import UserError


@pytest.mark.parametrize("name", ["gpu", "cuda:", "mps"])
def test_no_device_of_that_name(name: str) -> None:
    with pytest.raises(UserError, match="must be auto, cpu, cuda or cuda:N"):
        TrainCommandSettings(Path("out"), device=name)


def test_a_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    assert not devices.on_gpu("auto")
    assert not devices.on_gpu("cpu")
    with pytest.raises(UserError, match="this machine has no GPU"):
        devices.on_gpu("cuda:1")


def test_several_processes_have_a_gpu_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    assert devices.on_gpu("auto")
    assert devices.on_gpu("cuda")
    assert not devices.on_gpu("cpu")
    with pytest.raises(UserError, match="have a GPU each"):
        devices.on_gpu("cuda:1")
