"""Profiles of real networks, small enough for a test."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import pytest
import timm
import torch
from PIL import Image
from torch import nn

from nas.export import __main__ as export
from nas.export.published import TABLE_3, Published
from nas.profile import __main__ as profile
from nas.profile import measure, report
from nas.profile.settings import ProfileSettings
from nas.trial.passes import Passes
from nas.util.counts import count
from nas.util.errors import UserError

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, tiny_geometry):
    root = tmp_path_factory.mktemp("networks")
    (root / "tiny.json").write_text(json.dumps(replace(tiny_geometry, image_size=32).to_json()))
    args = ["nexception", "--geometry", str(root / "tiny.json"), "--num-classes", "10", "--quiet"]
    assert export.main([*args, "-o", str(root / "nexception_tiny")]) == 0
    return root / "nexception_tiny"


@pytest.fixture(scope="module")
def profiled(folder, tmp_path_factory):
    output = tmp_path_factory.mktemp("profile") / "out"
    args = [str(folder), "test_resnet", "-o", str(output), "--batch-size", "4", "--repeats", "3"]
    args += ["--warm-up", "1", "--top1", "nexception_tiny=61.5", "test_resnet=40"]
    assert profile.main(args) == 0
    return output


def test_the_files_hold_what_was_counted_and_timed(profiled):
    rows = {row["model"]: row for row in csv.DictReader((profiled / "profile.csv").open())}
    assert list(rows) == ["nexception_tiny", "test_resnet"]
    model = timm.create_model("test_resnet")
    size = model.pretrained_cfg["input_size"][-1]
    stats = count(model, size)
    row = rows["test_resnet"]
    assert (int(row["params"]), int(row["macs"]), int(row["flops"])) == (
        stats.params,
        stats.macs,
        stats.flops,
    )
    assert int(row["image_size"]) == size
    assert int(row["memory"]) >= 4 * stats.params
    assert all(
        float(r["latency_ms"]) > 0 and float(r["throughput_images_per_second"]) > 0 for r in rows.values()
    )
    assert float(rows["nexception_tiny"]["top1"]) == 61.5
    assert [rows[name][f"{kind}_repeats"] for name in rows for kind in ("latency", "throughput")] == ["3"] * 4
    facts = json.loads((profiled / "profile.json").read_text())
    assert (facts["repeats"], facts["warm_up"], facts["hardware"]["device"]) == (3, 1, "cpu")
    table = (profiled / "profile.md").read_text().splitlines()
    assert len(table) == 4
    assert "| test_resnet |" in table[3]


def test_bubble_plots(profiled):
    for name in ("accuracy-flops.png", "accuracy-throughput.png"):
        picture = Image.open(profiled / name).convert("RGB")
        assert picture.size == (1050, 750)
        shown = {colour for _, colour in picture.getcolors(10**6)}
        assert any(r > 200 and 100 < g < 180 and b < 130 for r, g, b in shown)  # ours
        assert any(r < 180 and g > 180 and b > 220 for r, g, b in shown)  # others


def test_without_accuracies_there_are_no_plots(folder, tmp_path, capsys):
    args = [str(folder), "--batch-size", "2", "--repeats", "2", "--warm-up", "0", "-o", str(tmp_path / "out")]
    assert profile.main(args) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "profile.csv",
        "profile.json",
        "profile.md",
    ]
    assert "no plots" in capsys.readouterr().out


def test_activations_by_hand():
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 25, 2))
    assert measure._activations(model.to("meta"), 5, 3) == 4 * 25 + 2


def test_memory_grows_with_what_a_pass_needs():
    """A 1x1 convolution to 64 channels at 256x256 puts out 16 MiB of float32 an image."""

    class Wide(measure._Subject):
        def __init__(self):
            self.channels, self.size = 3, 256
            self._pixels = measure._Pixels(torch.device("cpu"))
            self._passes = Passes(nn.Conv2d(3, 64, 1), torch.device("cpu"), None)

    with torch.inference_mode():
        subject = Wide()
        memory = [subject.memory(batch, limit=60)[0] for batch in (1, 4)]
    assert memory[0] >= 16 * 2**20 * 0.9
    assert 40 * 2**20 <= memory[1] - memory[0] <= 80 * 2**20  # three more of them, and scratch space


def test_spread():
    times = measure.Times.of([1.0, 2.0, 3.0])
    assert (times.mean, times.sd, times.repeats) == (2.0, 1.0, 3)
    assert report._spread(times) == "2.0 ± 1.0"
    assert report._spread(measure.Times(1234.5, 6.7, 2)) == "1234 ± 7"


def test_published_accuracies_are_those_of_table_3_at_its_image_sizes():
    found = {name: TABLE_3[f"nexception_{name}"].top1 for name in ("t", "s", "tp")}
    assert found == {"t": 81.5, "s": 82.0, "tp": 81.8}
    for name, row in TABLE_3.items():
        assert timm.is_model(name) or name.startswith("nexception")
        cfg = timm.get_pretrained_cfg(name)
        if cfg is not None and name != "tf_efficientnetv2_s":  # made for 300, judged at 384 there
            assert cfg.input_size[-1] == row.image_size, name
    assert TABLE_3["tf_efficientnetv2_s"].image_size == 384


def test_a_published_network_is_measured_at_the_tables_image_size(monkeypatch):
    monkeypatch.setitem(TABLE_3, "test_resnet", Published(50.0, 96))
    base = {"models": ("test_resnet",), "batch_size": 1, "warm_up": 0, "repeats": 2, "device": "cpu"}
    (own,) = measure.profile(ProfileSettings(**base))
    (published,) = measure.profile(ProfileSettings(**base, published=True))
    assert (own.image_size, own.top1) == (160, None)
    assert (published.image_size, published.top1) == (96, 50.0)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "MODEL"),
        (["resnet5"], "resnet5: must be an exported folder, or the name of a model that timm knows"),
        (["test_resnet", "--seconds", "0"], "--seconds 0.0: must be above 0"),
        (["test_resnet", "--seconds", "nan"], "--seconds nan: must be above 0"),
        (["test_resnet", "--repeats", "1"], "--repeats 1: must be at least 2"),
        (["test_resnet", "--top1", "81.5"], "--top1 81.5: must be NAME=PERCENT"),
        (["test_resnet", "--top1", "test_resnet=815"], "--top1 test_resnet=815: must be NAME=PERCENT"),
        (["test_resnet", "--published", "--input-size", "64"], "--published: those accuracies"),
        (["test_vit", "--input-size", "50", "--batch-size", "1"], "--input-size 50: does not fit test_vit"),
        (["test_resnet", "--device", "tpu"], "--device tpu"),
    ],
)
def test_mistakes_are_one_line(args, words):
    with pytest.raises(UserError) as caught:
        profile.main(args)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
