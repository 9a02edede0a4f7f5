"""Whole evaluations: exported networks, folders laid out like the real sets."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest
import timm
import torch
from PIL import Image

import search_spaces.nexception.timm_models  # noqa: F401 - registers the models
from nas.data import pictures
from nas.evaluate import __main__ as evaluate
from nas.evaluate import suites
from nas.export import __main__ as export
from nas.util.errors import UserError

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def networks(tmp_path_factory, tiny_geometry):
    folder = tmp_path_factory.mktemp("networks")
    (folder / "tiny.json").write_text(json.dumps(tiny_geometry.to_json()))
    for classes in ("10", "1000"):
        args = ["nexception", "--geometry", str(folder / "tiny.json"), "--num-classes", classes, "--quiet"]
        assert export.main([*args, "-o", str(folder / classes)]) == 0
    return folder


def make_images(root, names, each=2):
    draw = np.random.default_rng(0)
    for name in names:
        (root / name).mkdir(parents=True)
        for i in range(each):
            pixels = draw.integers(0, 256, (20, 26, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / name / f"{i}.png")
    return root


def logits_of(folder, images):
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))
    with torch.no_grad():
        return model(torch.stack([transform(Image.open(path).convert("RGB")) for path in images]))


def scores(output):
    return json.loads((output / "scores.json").read_text())


def test_digits(networks, tmp_path, capsys):
    args = [str(networks / "10"), "--data", "digits", "-o", str(tmp_path / "out")]
    assert evaluate.main(args) == 0
    test = pictures.load("digits", data_dir=tmp_path, test=True)
    found = scores(tmp_path / "out")
    assert found["images"] == len(test)
    out = capsys.readouterr().out
    assert f"{100 * found['top1']:.2f}%" in out
    assert "has not been trained" in out
    rows = list(csv.DictReader((tmp_path / "out" / "per_class.csv").open()))
    assert [row["class"] for row in rows] == [str(digit) for digit in range(10)]
    right = sum(float(row["top1"]) * int(row["images"]) for row in rows)
    assert right / len(test) == pytest.approx(found["top1"])
    assert Image.open(tmp_path / "out" / "confusion.png").size[0] > 300
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "confusion.png",
        "per_class.csv",
        "scores.json",
    ]


@pytest.mark.parametrize(
    ("suite", "classes"), [("imagenet-a", 200), ("imagenet-r", 200), ("imagenet-sketch", 1000)]
)
def test_robustness_suites(networks, tmp_path, suite, classes, capsys):
    names = suites.imagenet_classes(suites.SUITES[suite])
    assert len(names) == classes
    some = [names[i] for i in (3, 50, 117, classes - 1)]
    root = make_images(tmp_path / "images", some)
    args = [str(networks / "1000"), "--data", f"folder:{root}", "--suite", suite, "-o", str(tmp_path / "out")]
    assert evaluate.main(args) == 0
    logits = logits_of(networks / "1000", sorted(root.rglob("*.png")))
    imagenet = suites.imagenet_classes()
    among = logits[:, [imagenet.index(name) for name in names]]
    labels = torch.tensor([names.index(name) for name in sorted(some) for _ in range(2)])
    found = scores(tmp_path / "out")
    expected = torch.nn.functional.cross_entropy(among, labels).item()
    assert found["loss"] == pytest.approx(expected, rel=1e-5)
    assert found["top5"] == pytest.approx(
        (among.topk(5).indices == labels[:, None]).any(1).float().mean().item()
    )
    assert found["images"] == 8
    assert f"images of 4 of {classes} classes only" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["imagenet_a", "imagenet_r"])
def test_timms_lists_agree(name):
    outputs = [int(line) for line in suites._list(f"{name}_indices.txt")]
    imagenet = suites.imagenet_classes()
    assert [imagenet[i] for i in outputs] == suites.imagenet_classes(name)


def test_folders_are_matched_by_name_not_by_order(networks, tmp_path):
    """A validation folder without some classes shifts the order of the others."""
    imagenet = suites.imagenet_classes()
    root = make_images(tmp_path / "images" / "val", [imagenet[i] for i in (5, 700)], each=1)
    args = [str(networks / "1000"), "--data", f"folder:{root.parent}", "-o", str(tmp_path / "out")]
    assert evaluate.main(args) == 0
    logits = logits_of(networks / "1000", sorted(root.rglob("*.png")))
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor([5, 700])).item()
    assert scores(tmp_path / "out")["loss"] == pytest.approx(expected, rel=1e-5)


def test_the_training_part_is_never_taken_for_the_test_part(networks, tmp_path):
    root = make_images(tmp_path / "images" / "train", ["n01440764", "n01443537"])
    with pytest.raises(UserError, match="has a train/ but no test/ or val/"):
        evaluate.main([str(networks / "1000"), "--data", f"folder:{root.parent}"])


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (
            ("{net}/10", "--data", "folder:{tmp}", "--suite", "imagenet-a"),
            "needs a network of ImageNet's 1000",
        ),
        (("{net}/1000", "--data", "digits", "--suite", "imagenet-a"), "--data digits: must be folder:DIR"),
        (("{net}/1000", "--data", "folder:{tmp}/no", "--suite", "imagenet-r"), "no such folder"),
        (
            ("{net}/1000", "--data", "folder:{tmp}/cats", "--suite", "imagenet-r"),
            "folder tabby is none of the 200",
        ),
        (("{net}/1000", "--data", "digits"), "--data digits: has 10 classes; must have the 1000 of 1000"),
        (("{net}/none", "--data", "digits"), "must be an exported folder, or the name of a model"),
        (("{net}/10", "--data", "digits", "--crop", "2"), "--crop-pct 2.0: must be above 0"),
        (("{net}/10", "--data", "digits", "--batch-size", "0"), "--batch-size 0: must be at least 1"),
        (("{tmp}", "--data", "digits"), "has no config.json"),
        (("{net}/10", "--data", "digits", "--device", "cuda:9"), "--device cuda:9"),
    ],
)
def test_mistakes_are_one_line(networks, tmp_path, args, words):
    make_images(tmp_path / "cats", ["tabby"], each=1)
    with pytest.raises(UserError) as caught:
        evaluate.main([arg.format(net=networks, tmp=tmp_path) for arg in args])
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_damaged_weights_are_one_line(networks, tmp_path):
    broken = shutil.copytree(networks / "10", tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(UserError, match="broken: cannot be created"):
        evaluate.main([str(broken), "--data", "digits"])


def test_several_networks_on_several_sets_make_one_table(networks, tmp_path, capsys):
    """NEXcepTion's Table 2."""
    roots = {}
    for suite, places in {"imagenet-a": (3, 50), "imagenet-sketch": (5, 700, 999)}.items():
        names = suites.imagenet_classes(suites.SUITES[suite])
        roots[suite] = make_images(tmp_path / suite, [names[i] for i in places])
    other = shutil.copytree(networks / "1000", tmp_path / "copy" / "1000")
    args = [str(networks / "1000"), str(other), "-o", str(tmp_path / "out")]
    for suite, root in roots.items():
        args += ["--suite", suite, "--data", f"folder:{root}"]
    assert evaluate.main(args) == 0
    table = list(csv.DictReader((tmp_path / "out" / "table.csv").open()))
    assert [row["model"] for row in table] == [str(networks / "1000"), str(other)]  # both are called 1000
    for suite, root in roots.items():
        alone = tmp_path / f"alone-{suite}"
        single = [str(other), "--suite", suite, "--data", f"folder:{root}", "-o", str(alone)]
        assert evaluate.main(single) == 0
        for key in ("images", "top1", "top5", "loss"):
            assert float(table[1][f"{suite}_{key}"]) == scores(alone)[key]
    own = json.loads((networks / "1000" / "config.json").read_text())["smacnas"]
    assert (int(table[0]["macs"]), int(table[0]["params"])) == (own["macs"], own["params"])
    text = (tmp_path / "out" / "table.md").read_text().splitlines()
    assert text[0] == "| model | GMACs / M params | ImageNet-A | ImageNet-Sketch |"
    assert f"{100 * float(table[0]['imagenet-a_top1']):.2f}" in text[2]
    assert "ImageNet-Sketch" in capsys.readouterr().out
    assert len(list((tmp_path / "out").glob("*/scores.json"))) == 4


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("{net}/10", "{net}/10", "--data", "digits"), "is named twice"),
        (("{net}/10", "--data", "digits", "--data", "digits"), "--data digits: is given twice"),
        (
            ("{net}/10", "{net}/1000", "--data", "digits"),
            "--data digits: has 10 classes; must have the 1000 of 1000",
        ),
        (
            ("{net}/1000", "--data", "digits", "--suite", "imagenet-a", "--suite", "none"),
            "--suite: given 2 times, --data 1 time;",
        ),
        (("{net}/10", "{net}/none", "--data", "digits"), "must be an exported folder"),
    ],
)
def test_mistakes_with_several_are_seen_before_the_first_is_judged(networks, tmp_path, args, words):
    with pytest.raises(UserError) as caught:
        evaluate.main([*(arg.format(net=networks) for arg in args), "-o", str(tmp_path / "out")])
    assert words in str(caught.value)
    assert not (tmp_path / "out").exists()
