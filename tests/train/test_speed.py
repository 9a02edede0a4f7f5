"""What makes a full-size training fast, and says how fast it is; it changes no figure."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from nas.data import transforms
from nas.export.recipe import Recipe
from nas.train import compiling, devices, roofline, trainer
from nas.train.settings import TrainCommandSettings
from nas.train.view import describe
from nas.util.errors import UserError

CONFIG = {
    "mean": (0.4, 0.5, 0.6),
    "std": (0.2, 0.3, 0.25),
    "crop_pct": 1.0,
    "interpolation": "bicubic",
    "input_size": (3, 24, 24),
}


def seeded(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


@pytest.mark.parametrize("channels", [1, 3])
def test_normalising_on_the_device_gives_the_same_numbers(channels: int) -> None:
    config = {**CONFIG, "input_size": (channels, 24, 24)}
    if channels == 1:
        config |= {"mean": (0.5,), "std": (0.25,)}
    whole = transforms.training(config, scale=(0.5, 1.0), auto_augment="rand-m7-mstd0.5-inc1")
    first, finish = transforms.split(whole)
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    for seed in range(10):
        seeded(seed)
        expected = whole(picture)
        seeded(seed)
        read = first(picture)
        assert read.dtype == torch.uint8
        assert torch.equal(finish(read[None])[0], expected)


def test_erasing_is_done_to_whole_batches() -> None:
    whole = transforms.training(CONFIG, re_prob=1.0)
    _, finish = transforms.split(whole)
    seeded(0)
    batch = finish(torch.full((8, 3, 24, 24), 255, dtype=torch.uint8))
    erased = (batch == 0).all(1).flatten(1).sum(1)
    assert (erased > 0).all()
    assert len(set(erased.tolist())) > 1


class Normed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, bias=False)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(4, 2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(self.drop(self.norm(self.conv(image)).mean((2, 3))))


def whole_state(model: nn.Module) -> list[Any]:
    tensors = [value.tolist() for value in model.state_dict().values()]
    return [*tensors, torch.get_rng_state().tolist(), [p.grad for p in model.parameters()]]


def test_a_trial_of_the_compiled_network_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Normed().train()
    called = []

    def compile_(network: nn.Module) -> Any:
        def fast(images: torch.Tensor) -> torch.Tensor:
            called.append(images.shape)
            return network(images)

        return fast

    monkeypatch.setattr(torch, "compile", compile_)
    before = whole_state(model)
    made = compiling.compiled(model, torch.randn(4, 3, 8, 8))
    after = whole_state(model)
    assert before[:-2] == after[:-2]
    assert called == [(4, 3, 8, 8)]
    assert made.note == ""
    assert made.call is not model


def test_a_network_that_cannot_be_compiled_is_trained_as_it_is(
    run: Any, networks: Any, tmp_path: Path, figures: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    def broken(_: nn.Module) -> Any:
        raise RuntimeError("no compiler\nat all")

    monkeypatch.setattr(compiling.torch, "compile", broken)
    model = nn.Linear(2, 2)
    made = compiling.compiled(model, torch.zeros(1, 2))
    assert made.call is model
    assert made.note == "not compiled (RuntimeError: no compiler); trained as it is"
    plain = run(networks["batch"], tmp_path / "plain", "--epochs", "1")
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)
    assert figures(run(networks["batch"], tmp_path / "compiled", "--epochs", "1", "--compile")) == figures(
        plain
    )


def test_the_share_of_the_peak_is_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roofline, "_peak", lambda *_: 1e9)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 5))
    found = roofline.measure(model, (3, 2, 2), torch.device("cpu"), None, processes=2)
    assert found is not None
    assert found.flops == 6 * 12 * 5
    assert found.share(1000) == pytest.approx(360 * 1000 / 2e9)
    assert model[1].weight.device.type == "cpu"
    row = {"epoch": 1, "train_loss": 1.0, "val_top1": None, "lr": 0.1, "images_per_second": 10.0}
    row |= {"peak_memory": 10, "roofline_share": 0.1234}
    assert "10 images/s  12.3% of the device's peak" in describe(row, 2, 3.0)
    assert "device" not in describe({**row, "roofline_share": None}, 2, 3.0)


def test_a_network_that_cannot_be_counted_has_no_share() -> None:
    class Odd(Normed):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image * image.sum().item()

    assert roofline.measure(Odd(), (3, 8, 8), torch.device("cpu"), None, 1) is None


def test_the_measured_peak_is_that_of_a_processor() -> None:
    assert 1e8 < roofline._peak(torch.device("cpu"), torch.float32) < 1e15


class Two:
    """Of accelerate what the trainer needs to know of two processes."""

    num_processes = 2
    scaler = None

    def prepare(self, *things: Any) -> Any:
        return things

    def unwrap_model(self, model: nn.Module, **_: Any) -> nn.Module:
        return model


@pytest.mark.parametrize("sync_bn", [False, True])
def test_batch_norms_are_synchronised_where_that_is_asked(sync_bn: bool) -> None:
    model = Normed()
    names = list(model.state_dict())
    recipe = replace(Recipe(), opt="sgd", epochs=2)
    made = trainer.Trainer(
        Two(),  # type: ignore[arg-type]
        *(torch.device("cpu"), model, recipe, 2, 3, 0, nn.Identity()),
        sync_bn=sync_bn,
    )
    found = [module for module in made.plain.modules() if isinstance(module, nn.SyncBatchNorm)]
    assert len(found) == sync_bn
    assert list(made.plain.state_dict()) == names


def test_processes_without_gpus_cannot_synchronise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    settings = TrainCommandSettings(Path("out"), sync_bn=True, device="cpu")
    with pytest.raises(UserError, match="sync_bn: needs a GPU for each process"):
        devices.accelerator(settings)


def test_the_cores_are_shared_among_a_machines_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(64), raising=False)
    assert devices.workers() == 32
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert devices.workers() == 15
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "128")
    assert devices.workers() == 0
