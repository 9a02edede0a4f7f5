"""Arrays and data sets: what trials see is what was given, or one line says what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset

from nas.api import images
from nas.data import sources
from nas.run.folder import Run
from nas.util.errors import UserError
from tests.descriptions import described

GREY = np.random.default_rng(0).integers(0, 256, (12, 8, 10)).astype(np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (12, 8, 10, 3)).astype(np.uint8)
LABELS = np.arange(12) % 3


class Pairs:
    """A map-style data set."""

    classes = ("a", "b", "c")

    def __init__(self, pictures: Any, labels: Any = LABELS) -> None:
        self.pictures, self.labels = pictures, labels

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, place: int) -> tuple[Any, Any]:
        return self.pictures[place], self.labels[place]


def chw(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.moveaxis(pixels, -1, 1))


@pytest.mark.parametrize(
    ("data", "pixels"),
    [
        ((GREY, LABELS), GREY[..., None]),
        ([COLOUR, list(LABELS)], COLOUR),
        ((torch.from_numpy(GREY), torch.from_numpy(LABELS)), GREY[..., None]),
        ((COLOUR, LABELS, ["a", "b", "c"]), COLOUR),
        (Pairs(GREY), GREY[..., None]),
        (Pairs(COLOUR, [int(label) for label in LABELS]), COLOUR),
        (Pairs([Image.fromarray(one) for one in COLOUR]), COLOUR),
        (Pairs([Image.fromarray(one) for one in GREY]), GREY[..., None]),
        (Pairs(chw(COLOUR)), COLOUR),
        (Pairs(chw(COLOUR).float() / 255), COLOUR),
        (TensorDataset(chw(COLOUR).float().div(255), torch.from_numpy(LABELS)), COLOUR),
        (TensorDataset(torch.from_numpy(GREY)[:, None], torch.from_numpy(LABELS)), GREY[..., None]),
    ],
)
def test_all_forms_come_to_the_same(data: Any, pixels: np.ndarray) -> None:
    found = images.read(data)
    assert np.array_equal(found.images, pixels)
    assert found.images.dtype == np.uint8
    assert np.array_equal(found.labels, LABELS)
    named = isinstance(data, Pairs) or (isinstance(data, tuple) and len(data) == 3)
    assert found.class_names == (("a", "b", "c") if named else ("0", "1", "2"))


class Flipping(Pairs):
    def __getitem__(self, place: int) -> tuple[Any, Any]:
        return np.random.default_rng().permutation(self.pictures[place]), self.labels[place]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (3, "data=int: must be a name"),
        ({"x": 1}, "data=dict: must be"),
        (iter([1]), "data=list_iterator: must be"),
        ((GREY / 255, LABELS), "data: images are float64; must be uint8"),
        ((GREY, LABELS[:5]), "data: labels have shape (5,); must be (12,)"),
        ((GREY, LABELS * 1.0), "data: labels are float64"),
        ((GREY, LABELS, ["a"]), "data: has 1 class"),
        ((GREY[:, :4], LABELS), "data: images are 4x10 pixels"),
        ((chw(COLOUR), LABELS), "data: images have shape (12, 3, 8, 10)"),
        (Pairs([]), "data: holds no images"),
        (Pairs([GREY[0], GREY[1], GREY[1].T]), "data: images of 8x10 and 10x8 pixels (image 2)"),
        (Pairs(chw(COLOUR).float() / 255 - 0.5), "data: image 0 holds -0.5 to"),
        (Pairs(chw(COLOUR).float() / 200), "data: image 0 holds"),
        (Pairs(GREY.astype(np.int32)), "data: image 0 is int32"),
        (Pairs(GREY, ["cat"] * 12), "data: the label of image 0 is 'cat'"),
        (Pairs(GREY, LABELS * 0.5), "data: the label of image 0 is 0.0"),
        (Flipping(GREY), "data: image 0 is another one each time"),
        (GREY, "data: item 0 is ndarray; must be an image and its label"),
    ],
)
def test_what_is_no_data_is_one_line(data: Any, says: str) -> None:
    with pytest.raises(UserError) as caught:
        images.read(data)
    assert str(caught.value).startswith(says)
    assert "--" not in str(caught.value)


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    found = images.read((COLOUR[:, :, :8], LABELS, ["a", "b", "ç"]))
    said: list[str] = []
    with images.placed(tmp_path / "runs" / "new", found, said.append) as name:
        assert not said
        read = sources.load(name, data_dir=tmp_path)
        run = Run.create(tmp_path / "runs" / "new", described(), {})
    assert read.fingerprint == found.fingerprint
    assert read.class_names == ("a", "b", "ç")
    assert run.images.is_file()
    assert f"npz:{run.images.resolve()}" == name
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["new"]


def test_without_a_run_nothing_is_left(tmp_path: Path) -> None:
    found = images.read((GREY, LABELS))
    with pytest.raises(KeyboardInterrupt), images.placed(tmp_path / "new", found, print):
        raise KeyboardInterrupt
    assert not (tmp_path / "new").exists()


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    found = images.read((GREY, LABELS))
    with pytest.raises(UserError, match="exists already"), images.placed(tmp_path, found, print):
        pass
    assert not list(tmp_path.iterdir())
    (tmp_path / "images.npz").touch()
    (tmp_path / "mine").touch()
    with pytest.raises(UserError, match="exists already"):
        Run.create(tmp_path, described(), {})


def test_a_full_disk_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with (
        pytest.raises(UserError, match="free some space"),
        images.placed(tmp_path / "new", images.read((GREY, LABELS)), print),
    ):
        pass
    assert not (tmp_path / "new").exists()


def test_large_ones_are_announced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "_SHOWN", 100)
    said: list[str] = []
    with images.placed(tmp_path / "new", images.read((GREY, LABELS)), said.append):
        pass
    assert said == [f"writing 960 B of images to {tmp_path / 'new' / 'images.npz'}"]
