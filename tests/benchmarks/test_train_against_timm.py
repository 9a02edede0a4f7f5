"""The benchmark of ``nas.train`` against timm's loop: what it makes, and how it judges."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from PIL import Image

from benchmarks import train_against_timm as program
from nas.util.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("one_thread")
FEW = program.TrainAgainstTimmSettings(images=16, classes=2, batch_size=8, epochs=2, workers=0, image_size=32)


def test_speeds_leave_out_the_first_epoch_and_losses_are_means() -> None:
    found = program.judged(
        {
            program._OURS: [
                {"rates": [1.0, 30.0], "losses": [0.7, 0.5]},
                {"rates": [9.0, 50.0], "losses": [0.7, 0.3]},
            ],
            program._TIMM: [
                {"rates": [7.0, 20.0], "losses": [0.7, 0.5]},
                {"rates": [8.0, 20.0], "losses": [0.7, 0.5]},
            ],
        }
    )
    assert found["images_per_second"] == {program._OURS: 40.0, program._TIMM: 20.0}
    assert found["ratios"] == [1.5, 2.5]
    assert found["losses"][program._OURS] == pytest.approx([0.7, 0.4])
    assert found["gap"] == pytest.approx(0.2)
    assert "by turn: 1.50, 2.50; losses at most 20.0% apart" in program.table(found)


def test_the_files_are_like_imagenets_and_timms_loop_learns_from_them(tmp_path: Path) -> None:
    size = program.make_files(tmp_path / "train", FEW)
    files = sorted((tmp_path / "train").rglob("*.jpg"))
    assert len(files) == 16
    assert size / 16 == pytest.approx(110_000, rel=0.4)  # bytes of an image of ImageNet
    width, height = Image.open(files[0]).size
    assert 400 <= width <= 500
    assert 333 <= height <= 500
    state = torch.get_rng_state()
    found = program.timms(FEW, tmp_path)
    torch.set_rng_state(state)
    assert len(found["rates"]) == len(found["losses"]) == 2
    assert 0.1 < found["losses"][0] < 1.5


def test_a_network_that_timm_does_not_know_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nosuchnet"):
        program.timms(program.TrainAgainstTimmSettings(model="nosuchnet"), tmp_path)
