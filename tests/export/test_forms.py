"""Other forms of a network: the same answers at every size they take, and no file where they differ."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn

import search_spaces
from nas.export import folder, formats, forms
from nas.export.__main__ import main
from nas.trial import onnx_file
from nas.util.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("one_thread")
WRITERS: dict[str, Any] = {
    forms.ONNX: formats.write_onnx,
    forms.TORCH_EXPORT: formats.write_torch_export,
    forms.TORCHSCRIPT: formats.write_torchscript,
}
WIDTHS = {"nexception": 16, "resnet": 16}
FEW_BLOCKS: dict[str, dict[str, Any]] = {
    "nexception": {"depths": (1,)},
    "resnet": {"depths": (1, 1, 1), "depths_swin": (1, 1, 1)},
}


def network(space: str, number: int) -> nn.Module:
    """One of the space's networks with few blocks: each takes an exporter seconds."""
    found = search_spaces.get(space)
    torch.manual_seed(0)
    geometry = replace(found.reduced(WIDTHS[space], 32), **FEW_BLOCKS[space])
    return found.network(found.sample(2, seed=3)[number], geometry, num_classes=10).eval()


def answers(path: Path, images: torch.Tensor) -> torch.Tensor:
    if path.name == forms.ONNX:
        return formats.session(path)(images)
    if path.name == forms.TORCHSCRIPT:
        return torch.jit.load(str(path))(images)
    return torch.export.load(str(path)).module()(images)


@pytest.mark.parametrize("space", ["nexception", "resnet"])
@pytest.mark.parametrize("name", WRITERS)
def test_convolutional_networks_take_any_number_and_size(space, name, tmp_path):
    model = network(space, 0)
    agreed = WRITERS[name](model, tmp_path / name, (3, 32, 32))
    assert agreed.sizes
    assert agreed.difference < 1e-5
    with torch.no_grad():
        for shape in ((7, 3, 32, 32), (1, 3, 40, 56), (2, 3, 37, 33)):
            images = torch.randn(shape)
            torch.testing.assert_close(answers(tmp_path / name, images), model(images), atol=1e-4, rtol=1e-3)


class Patches(nn.Module):
    """A network with its images' number of patches in it, as a transformer's positions are."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 4, 8, 8)
        self.positions = nn.Parameter(torch.randn(1, 4, 4, 4))
        self.head = nn.Linear(4, 5)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head((self.patch(image) + self.positions).mean((2, 3)))


@pytest.mark.parametrize("name", WRITERS)
def test_a_fixed_size_is_said_and_kept(name, tmp_path):
    model = Patches().eval()
    agreed = WRITERS[name](model, tmp_path / name, (3, 32, 32))
    assert not agreed.sizes
    with torch.no_grad():
        images = torch.randn(5, 3, 32, 32)
        torch.testing.assert_close(answers(tmp_path / name, images), model(images), atol=1e-5, rtol=1e-4)
    with pytest.raises(Exception, match=r"size|dimensions|Guard|shape"):
        answers(tmp_path / name, torch.randn(1, 3, 40, 40))


def test_an_onnx_file_that_would_be_wrong_at_other_sizes_takes_one_only(tmp_path):
    """A transformer whose patches do not divide an image pads it, which the exporter leaves out."""
    space = search_spaces.get("vit")
    config = space.default | {"depth": 1}  # fewer blocks than are searched: each takes the exporter seconds
    model = space.build(config, space.reduced(48, 32), num_classes=10).eval()
    assert not formats.write_onnx(model, tmp_path / forms.ONNX, (3, 32, 32)).sizes


class Liar(nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        other = 1.0
        if torch.jit.is_scripting() or torch.jit.is_tracing() or torch.compiler.is_compiling():
            other = 1.01
        return other * image.mean((2, 3))


@pytest.mark.parametrize("name", WRITERS)
def test_a_form_that_answers_otherwise_is_refused(name, tmp_path):
    with pytest.raises(UserError, match="answers differently, by 1") as caught:
        WRITERS[name](Liar().eval(), tmp_path / name, (3, 32, 32))
    assert "\n" not in str(caught.value)


class Unwritable(nn.Module):
    def forward(self, image: torch.Tensor) -> torch.Tensor:
        if torch.jit.is_scripting() or torch.jit.is_tracing() or torch.compiler.is_compiling():
            raise RuntimeError("not in here\nreally")
        return image.mean((2, 3))


@pytest.mark.parametrize("name", WRITERS)
def test_what_an_exporter_cannot_do_is_one_line(name, tmp_path):
    with pytest.raises(UserError, match="cannot be written") as caught:
        WRITERS[name](Unwritable().eval(), tmp_path / name, (3, 32, 32))
    assert "\n" not in str(caught.value)


def test_the_opset_is_the_one_that_was_asked_for(tmp_path):
    import onnx

    for opset in (18, 21):
        onnx_file.write(Patches().eval(), tmp_path / "x.onnx", (3, 32, 32), opset=opset)
        versions = {said.domain: said.version for said in onnx.load(tmp_path / "x.onnx").opset_import}
        assert versions[""] == opset


@pytest.fixture(scope="module")
def exported(tmp_path_factory, tiny_geometry) -> Path:
    target = tmp_path_factory.mktemp("forms") / "net"
    geometry = target.with_name("tiny.json")
    geometry.write_text(json.dumps(tiny_geometry.to_json()))
    base = ["nexception", "--geometry", str(geometry), "--num-classes", "7", "-o", str(target), "--quiet"]
    assert main([*base, "--torchscript", "--onnx", "--opset", "20"]) == 0
    return target


def test_card_and_config_name_the_forms(exported):
    own = folder.read_config(exported)["smacnas"]["forms"]
    assert list(own) == [forms.ONNX, forms.TORCHSCRIPT]
    assert own[forms.ONNX]["opset"] == 20
    assert own[forms.ONNX]["any_size"] is True
    card = (exported / "README.md").read_text()
    assert "| `model.onnx`, opset 20 | any number, any size | same answers as PyTorch, within" in card
    assert "| `model.torchscript` | any number, any size |" in card


def test_an_exported_folder_gets_other_forms_and_keeps_the_rest(exported, tmp_path, capsys):
    assert main([str(exported), "--torch-export", "-o", str(tmp_path / "again"), "--license", "mit"]) == 0
    assert "model.pt2: any number, any size; same answers as PyTorch" in capsys.readouterr().out
    before, after = folder.read_config(exported), folder.read_config(tmp_path / "again")
    assert list(after["smacnas"].pop("forms")) == [forms.TORCH_EXPORT]
    before["smacnas"].pop("forms")
    assert before["pretrained_cfg"].pop("license") == "apache-2.0"
    assert after["pretrained_cfg"].pop("license") == "mit"
    assert before == after
    for name in ("model.safetensors", "recipe.yaml"):
        assert (exported / name).read_bytes() == (tmp_path / "again" / name).read_bytes()
    card = (tmp_path / "again" / "README.md").read_text()
    assert card.count("## Loading") == card.count("## Other forms") == 1
    assert "model.onnx" not in card
    assert "license: mit\n" in card
    assert "Weights: mit. " in card
    assert card.index("## Blocks") < card.index("## Loading") < card.index("## Licence and citation")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--opset", "17"], "--opset 17: must be 18 to 23"),
        (["--data", "digits"], "--data digits: goes with --int8"),
        (["--private"], "--private: goes with --push-to-hub USER/NAME"),
        (["--int8"], "--int8: needs trained weights, and these are initial ones"),
        (["--num-classes", "3"], "--num-classes 3: {exported} holds a network as it is; leave it out"),
        (["--geometry", "t"], "--geometry t: {exported} holds"),
    ],
)
def test_mistakes_are_one_line(args, words, exported, tmp_path):
    with pytest.raises(UserError) as caught:
        main([str(exported), *args, "-o", str(tmp_path / "x")])
    assert words.format(exported=exported) in str(caught.value)
    assert list(tmp_path.iterdir()) == []
