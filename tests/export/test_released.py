"""Files of the format that NEXcepTion's authors released, real and otherwise."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
import yaml

import search_spaces
import search_spaces.nexception.timm_models
from nas.evaluate import __main__ as evaluate
from nas.export import __main__ as export
from nas.export import folder
from nas.train import __main__ as train
from nas.util.errors import UserError
from search_spaces.nexception import build, released
from search_spaces.nexception.geometry import NEXCEPTION_S, NEXCEPTION_T, NEXCEPTION_TP

sys.path.insert(0, str(Path(__file__).parent))
import release

pytestmark = pytest.mark.usefixtures("one_thread")
CONFIG = search_spaces.get("nexception").points["nexception"]
SMALL = replace(
    NEXCEPTION_T,
    name="small",
    image_size=64,
    patchify_chs=8,
    widths=(8, 16, 24),
    depths=(0, 0, 2),
    exit_chs=(32, 40, 48),
)
SMALL_TP = replace(
    NEXCEPTION_TP, name="small_tp", image_size=64, widths=(8, 16, 24, 32), depths=(1, 2, 1, 1), patchify_chs=8
)


def answers(model, size=64):
    with torch.no_grad():
        return model.eval()(torch.linspace(-2, 2, 2 * 3 * size * size).view(2, 3, size, size))


@pytest.mark.parametrize(
    "geometry",
    [NEXCEPTION_T, NEXCEPTION_S, NEXCEPTION_TP, SMALL, SMALL_TP],
    ids=lambda geometry: geometry.name,
)
def test_renamed_weights_answer_as_the_release_does_to_the_last_bit(geometry, tmp_path):
    theirs = release.network(geometry)
    file = release.checkpoint(theirs, tmp_path / "model_best.pth.tar")
    found = released.read(file, CONFIG, geometry)
    ours = build(CONFIG, geometry, 1000)
    ours.load_state_dict(found.state)
    expected = answers(theirs)
    assert expected.std() > 0.1
    assert torch.equal(answers(ours), expected)
    assert found.num_classes == 1000
    assert found.facts["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()


def test_the_names_are_those_of_the_release():
    names = {
        "stem.layers.2.running_mean": "stem.2.running_mean",
        "stages.1.0.branch.3.conv_dw.weight": "downsampling_block2.rep.3.conv_dw.weight",
        "stages.2.0.shortcut.1.bias": "downsampling_block3.skipbn.bias",
        "stages.2.8.branch.5.conv_pw.weight": "middle_flow.7.sepconv3.conv_pw.weight",
        "stages.3.0.branch.6.fc1.bias": "exit_flow.0.block_end.fc1.bias",
        "tail.layers.3.conv_dw.weight": "exit_flow.4.conv_dw.weight",
        "head.fc.weight": "fc.weight",
    }
    assert {key: released.released_name(key, pyramid=False) for key in names} == names
    names = {
        "stages.0.2.branch.4.weight": "stages.0.blocks.2.norm2.weight",
        "stages.3.0.1.bias": "stages.3.downsample.1.bias",
        "stages.3.3.branch.6.bn.weight": "stages.3.blocks.2.block_end.bn.weight",
        "head.norm.weight": "head.norm.weight",
    }
    assert {key: released.released_name(key, pyramid=True) for key in names} == names


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    root = tmp_path_factory.mktemp("released")
    (root / "small.json").write_text(json.dumps(SMALL.to_json()))
    release.checkpoint(release.network(SMALL, 10), root / "small.pth.tar")
    return root


def exported(places, output, *args, weights="small.pth.tar", source="nexception"):
    order = [source, "--geometry", str(places / "small.json"), "--weights", str(places / weights)]
    assert export.main([*order, *args, "-o", str(output)]) == 0
    return output


def test_the_folder_evaluates_and_says_where_its_weights_come_from(places, tmp_path, capsys):
    target = exported(places, tmp_path / "small")
    assert "nas.evaluate" in capsys.readouterr().out
    model = timm.create_model(f"local-dir:{target}", pretrained=True)
    assert torch.equal(answers(model), answers(release.network(SMALL, 10)))
    card = (target / "README.md").read_text()
    assert "not been trained" not in card
    assert "came without a licence" in card
    assert yaml.safe_load(card.split("---")[1])["license"] == "unknown"
    config = folder.read_config(target)
    assert config["num_classes"] == 10
    digest = hashlib.sha256((places / "small.pth.tar").read_bytes()).hexdigest()
    assert config["smacnas"]["trained"]["sha256"] == digest
    assert evaluate.main([str(target), "--data", "digits", "-o", str(tmp_path / "scores")]) == 0
    assert "has not been trained" not in capsys.readouterr().out


def test_what_is_trained_from_them_keeps_their_licence(places, tmp_path):
    from accelerate.state import AcceleratorState, GradientState

    target = exported(places, tmp_path / "small", "--quiet")
    short = ("--epochs", "1", "--batch-size", "20", "--max-images", "60", "--workers", "0", "--quiet")
    for init, expected in (("auto", "unknown"), ("scratch", "apache-2.0")):
        args = [str(target), "--data", "digits", "-o", str(tmp_path / init), "--init", init, *short]
        assert train.main(args) == 0
        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()
        card = (tmp_path / init / "seed-0" / "small" / "README.md").read_text()
        assert yaml.safe_load(card.split("---")[1])["license"] == expected


def bare(model, path):
    torch.save(model.state_dict(), path)


def wrapped(model, path):
    torch.save({"state_dict": {f"module.{k}": v for k, v in model.state_dict().items()}}, path)


def old_format(model, path):
    torch.save({"state_dict": model.state_dict()}, path, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize("save", [bare, wrapped, old_format])
def test_other_ways_to_save_the_same_weights(save, tmp_path):
    save(release.network(SMALL), tmp_path / "weights.pth")
    found = released.read(tmp_path / "weights.pth", CONFIG, SMALL)
    ours = build(CONFIG, SMALL, 1000)
    ours.load_state_dict(found.state)
    assert torch.equal(answers(ours), answers(release.network(SMALL)))


class Evil:
    def __reduce__(self):
        return os.mkdir, ("this-must-not-happen",)


def without(path, key):
    state = release.network(SMALL, 10).state_dict()
    del state[key]
    torch.save({"state_dict": state}, path)


def changed(path, key, value):
    torch.save({"state_dict": {**release.network(SMALL, 10).state_dict(), key: value}}, path)


def flipped(path):
    release.checkpoint(release.network(SMALL, 10), path)
    contents = bytearray(path.read_bytes())
    contents[len(contents) // 2] ^= 1
    path.write_bytes(contents)


def cut(path):
    release.checkpoint(release.network(SMALL, 10), path)
    path.write_bytes(path.read_bytes()[:-1000])


SEPCONV = "middle_flow.0.sepconv1.conv_dw.weight"
WRONG = {
    "missing": (lambda path: None, "no such file"),
    "folder": (lambda path: path.mkdir(), "no such file"),
    "empty": (lambda path: path.write_bytes(b""), "no checkpoint of PyTorch"),
    "text": (lambda path: path.write_text("weights"), "no checkpoint of PyTorch"),
    "cut": (cut, "no checkpoint of PyTorch"),
    "flipped": (flipped, "damaged"),
    "code": (lambda path: torch.save({"state_dict": Evil()}, path), "can run code"),
    "module": (lambda path: torch.save(release.network(SMALL, 10), path), "can run code"),
    "code beside": (
        lambda path: release.checkpoint(release.network(SMALL, 10), path, args=Evil()),
        "can run code",
    ),
    "code in the options": (
        lambda path: release.checkpoint(
            release.network(SMALL, 10), path, args=argparse.Namespace(evil=Evil())
        ),
        "can run code",
    ),
    "a list": (lambda path: torch.save([1, 2], path), "holds no weights by name"),
    "no weights": (lambda path: torch.save({"epoch": 3}, path), "holds no weights by name"),
    "nothing": (lambda path: torch.save({"state_dict": {}}, path), "holds no weights by name"),
    "another model": (
        lambda path: torch.save(timm.create_model("test_resnet").state_dict(), path),
        "stem.0.weight is missing",
    ),
    "our own names": (
        lambda path: torch.save(build(CONFIG, SMALL, 10).state_dict(), path),
        "stem.0.weight is missing",
    ),
    "T itself": (
        lambda path: torch.save(release.network(NEXCEPTION_T).state_dict(), path),
        "are those of nexception_t; add --geometry t",
    ),
    "a missing key": (lambda path: without(path, SEPCONV), f"{SEPCONV} is missing"),
    "no classifier": (lambda path: without(path, "fc.weight"), "fc.weight is missing"),
    "a scalar classifier": (
        lambda path: changed(path, "fc.weight", torch.tensor(1.0)),
        "fc.weight is of shape ()",
    ),
    "an extra key": (
        lambda path: changed(path, "fc2.weight", torch.ones(2)),
        "fc2.weight is not one of its weights",
    ),
    "a wrong shape": (
        lambda path: changed(path, SEPCONV, torch.ones(24, 1, 3, 3)),
        f"{SEPCONV} is of shape (24, 1, 3, 3), must be (24, 1, 5, 5)",
    ),
    "not finite": (
        lambda path: changed(path, "fc.bias", torch.full((10,), torch.nan)),
        "fc.bias holds numbers that are not finite",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_files_are_one_line_and_nothing_is_written(kind, places, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make, words = WRONG[kind]
    make(tmp_path / "wrong.pth")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(UserError) as caught:
        exported(places, tmp_path / "out", weights=tmp_path / "wrong.pth")
    said = str(caught.value)
    assert said.startswith(f"--weights {tmp_path / 'wrong.pth'}: ")
    assert words in said
    assert "\n" not in said
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--num-classes", "7"], "--num-classes 7: --weights"),
        (["--match-macs", "1G"], "--match-macs 1G: --weights fit one width only"),
        (["--in-chans", "1"], "--in-chans 1: --weights are for 3 channels"),
    ],
)
def test_flags_that_do_not_go_with_them(args, words, places, tmp_path):
    with pytest.raises(UserError) as caught:
        exported(places, tmp_path / "out", *args)
    assert words in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_another_configuration_is_refused_although_its_weights_have_the_same_shapes(places, tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({**CONFIG, "pool": "max"}))
    with pytest.raises(UserError, match="belong to the configuration nexception"):
        exported(places, tmp_path / "out", source=str(tmp_path / "config.json"))
