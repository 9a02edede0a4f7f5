"""Weights as they were judged: what a file holds is what was measured, whole, and within the quota."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from nas.data.device import DeviceData
from nas.data.images import ImageSet
from nas.trial import weights
from nas.trial.loop import train
from nas.trial.settings import TrainSettings
from nas.trial.validation import evaluate
from nas.trial.weights import WeightsNotWritten, WeightStore
from nas.util.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("one_thread")
FACTS = {"epochs": 2, "seed": 1, "top1": 0.5, "val_loss": 1.0, "mean": [0.5], "std": [0.25]}


class Tied(nn.Module):
    """Batch norm, and one weight under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(1)
        self.first = nn.Linear(64, 64)
        self.second = nn.Linear(64, 64)
        self.second.weight = self.first.weight
        self.head = nn.Linear(64, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.head(self.second(self.first(self.norm(images).flatten(1)).relu()).relu())


def images() -> DeviceData:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(160) % 4
    pixels = torch.randint(0, 160, (160, 8, 8, 1), generator=generator, dtype=torch.uint8)
    pixels[torch.arange(160), labels] += 80  # a bright row tells the class
    made = ImageSet("rows", pixels.numpy(), labels.numpy(), tuple("abcd"))
    return DeviceData.place(made, val_fraction=0.3, seed=0, device="cpu")


@pytest.mark.parametrize("average", [0.2, 0.0])
def test_what_is_kept_is_what_was_measured(tmp_path: Path, average: float) -> None:
    """Also by a training that was cut off, and by one that finds all its epochs done."""
    data = images()
    recipe = TrainSettings(average=average, batch_size=16, lr=0.02).resolve(16, len(data.train))
    kept: list[tuple[float, dict[str, torch.Tensor]]] = []
    states = {}

    def run(epochs: int, state=None) -> None:
        torch.manual_seed(0)
        train(
            Tied(),
            data,
            recipe,
            epochs=epochs,
            max_epochs=3,
            seed=1,
            state=state,
            on_epoch=lambda metrics, snapshot: bool(states.update({metrics.epoch: snapshot()})) or True,
            on_evaluated=lambda metrics, judged: kept.append((metrics, judged())),
        )

    run(3)
    run(3, states[2])
    run(3, states[3])
    assert len(kept) == 3
    live = states[3]["model"]
    assert torch.equal(kept[0][1]["head.weight"], live["head.weight"]) == (not average)
    for metrics, tensors in kept:
        assert all(torch.equal(value, kept[0][1][name]) for name, value in tensors.items())
        store = WeightStore(tmp_path, 10**6)
        store.save("abc", 3, tensors, {**FACTS, "top1": metrics.top1})
        read = weights.read(store.path("abc", 3))
        model = Tied()
        model.load_state_dict(read.tensors)
        loss, top1, _ = evaluate(model, data, batch_size=128)
        assert (loss, top1) == (metrics.val_loss, metrics.top1)
        assert read.facts["top1"] == top1


def test_a_paused_training_keeps_none() -> None:
    kept = []
    train(
        Tied(),
        images(),
        TrainSettings(batch_size=16).resolve(16, 112),
        epochs=3,
        max_epochs=3,
        seed=1,
        on_epoch=lambda metrics, _: metrics.epoch < 2,
        on_evaluated=lambda *given: kept.append(given),
    )
    assert not kept


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_worst_go_first_and_what_nobody_knows_before_them(tmp_path: Path) -> None:
    store = WeightStore(tmp_path, 10**6)
    for key in ("best", "base", "third", "lost", "running"):
        store.save(key, 9, {"w": torch.zeros(1000)}, FACTS)
    one = (tmp_path / "best-9.safetensors").stat().st_size
    order = [weights.file_name(key, 9) for key in ("best", "base", "third", "never")]

    store.prune([weights.file_name(key, 9) for key in ("lost", "gone")], order)
    assert names(tmp_path) == sorted([*order[:3], "running-9.safetensors"])
    WeightStore(tmp_path, 3 * one).prune([], order)
    assert names(tmp_path) == sorted(order[:3])
    WeightStore(tmp_path, one).prune([], order)
    assert names(tmp_path) == order[:1]


def test_it_is_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = WeightStore(tmp_path / "weights", 10**6)
    store.save("a", 2, {"w": torch.zeros(3)}, FACTS)
    before = store.path("a", 2).read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(WeightsNotWritten, match="No space left"):
        store.save("a", 2, {"w": torch.ones(3)}, FACTS)
    assert store.path("a", 2).read_bytes() == before
    assert names(tmp_path / "weights") == ["a-2.safetensors"]


@pytest.mark.parametrize("name", ["../a-1.safetensors", "a.safetensors", "a-1.pt", "/a-1.safetensors", ""])
def test_no_other_names_are_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(WeightsNotWritten, match="not such a file's name"):
        WeightStore(tmp_path, 1).put(name, b"")
    assert not names(tmp_path)


def test_a_file_travels(tmp_path: Path) -> None:
    there, here = WeightStore(tmp_path / "there", 1), WeightStore(tmp_path / "here", 1)
    there.save("a_2", 5, {"w": torch.arange(3.0)}, FACTS)
    packed = there.get("a_2", 5)
    assert packed is not None
    here.put(*packed)
    assert torch.equal(weights.read(here.path("a_2", 5)).tensors["w"], torch.arange(3.0))
    assert there.get("a_3", 5) is None


@pytest.mark.parametrize("damage", ["cut", "garbage", "foreign", "facts", "absent"])
def test_a_bad_file_is_one_line(tmp_path: Path, damage: str) -> None:
    store = WeightStore(tmp_path, 1)
    store.save("a", 2, {"w": torch.zeros(100)}, FACTS)
    path = store.path("a", 2)
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-40])
    elif damage == "garbage":
        path.write_bytes(b"\xff" * 200)
    elif damage == "foreign":
        save_file({"w": torch.zeros(2)}, path)
    elif damage == "facts":
        store.save("a", 2, {"w": torch.zeros(1)}, {**FACTS, "mean": "0.5"})
    else:
        path.unlink()
    with pytest.raises(UserError, match="weights that cannot be read") as caught:
        weights.read(path)
    assert str(path) in str(caught.value)
