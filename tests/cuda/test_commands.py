"""nas.profile and nas.export on a machine with a pretended GPU, and folders of compiled networks."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

import search_spaces
from nas.export import __main__ as export
from nas.export import loading
from nas.profile import __main__ as profile
from nas.profile import measure
from nas.util.errors import UserError

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def sources(tmp_path_factory, tiny_geometry):
    folder = tmp_path_factory.mktemp("sources")
    (folder / "tiny.json").write_text(json.dumps(replace(tiny_geometry, image_size=32).to_json()))
    (folder / "n.json").write_text(json.dumps(search_spaces.get("nexception").points["nexception"]))
    return folder


def exported(sources, output, *args):
    command = [str(sources / "n.json"), "--geometry", str(sources / "tiny.json"), "--num-classes", "10"]
    assert export.main([*command, "-o", str(output), "--quiet", *args]) == 0
    return output


@pytest.fixture(scope="module")
def plain(sources, tmp_path_factory):
    """An exported folder; tests only read it."""
    return exported(sources, tmp_path_factory.mktemp("exports") / "tiny")


def test_profiled_on_the_gpu(fake_cuda, plain, tmp_path, capsys):
    gpu = fake_cuda(count=2)
    args = [str(plain), "test_resnet", "test_vit", "--batch-size", "2", "--repeats", "3", "--warm-up", "1"]
    assert profile.main([*args, "--device", "cuda:1", "-o", str(tmp_path / "out")]) == 0
    found = json.loads((tmp_path / "out" / "profile.json").read_text())
    assert found["hardware"]["device"] == "cuda:1 (Pretended GPU)"
    assert [row["latency"]["repeats"] for row in found["models"]] == [3, 3, 3]
    assert all(row["memory"] > 4 * row["params"] for row in found["models"])
    assert set(gpu.waits) == {"synchronize"}
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "loading PyTorch"
    for name in ("tiny", "test_resnet", "test_vit"):
        assert [line.split(": ")[1] for line in said if line.startswith(f"{name}: ")] == [
            "building and counting",
            "memory, 2 images",
            "latency, one image, warming up",
            "throughput, 2 images, warming up",
        ]


def test_a_profile_leaves_cudnn_s_choice_alone(fake_cuda, monkeypatch):
    fake_cuda()
    seen = []
    real = measure._Subject.seconds

    def watched(self, batch_size):
        seen.append(torch.backends.cudnn.benchmark)
        return real(self, batch_size)

    monkeypatch.setattr(measure._Subject, "seconds", watched)
    assert profile.main(["test_resnet", "--batch-size", "2", "--repeats", "2", "--warm-up", "0"]) == 0
    assert set(seen) == {False}


def test_a_profile_of_slow_networks_ends_within_its_limit(fake_cuda, monkeypatch):
    """Seven of them, whose passes take a tenth of a second at batch 256 and compile for three first."""
    fake_cuda()
    clock, seen = [0.0], set()

    def slow(self, batch_size):
        key = (id(self), batch_size)
        taken = 3.0 * (key not in seen) + 0.1 * batch_size / 256
        seen.add(key)
        clock[0] += taken
        return taken

    monkeypatch.setattr(measure._Subject, "seconds", slow)
    profile.main(["test_resnet"] * 7 + ["--batch-size", "256", "--input-size", "32"])
    assert clock[0] < 60


def test_a_profile_without_room_is_one_line(fake_cuda):
    fake_cuda(memory=10_000)
    with pytest.raises(UserError, match="--batch-size 2: out of memory; must be smaller"):
        profile.main(["test_resnet", "--batch-size", "2"])


def test_exported_in_every_form_where_there_is_a_gpu(fake_cuda, sources, tmp_path):
    """Nothing of it is done there: the network is built and compared on the host."""
    gpu = fake_cuda()
    plain = exported(sources, tmp_path / "plain")
    assert torch.cuda.max_memory_allocated() == 0
    assert gpu.waits == []
    weights = load_file(plain / "model.safetensors")
    assert {tensor.device.type for tensor in weights.values()} == {"cpu"}


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "module._orig_mod."])
def test_weights_of_a_compiled_network_are_loaded(plain, tmp_path, prefix):
    weights = load_file(plain / "model.safetensors")
    shutil.copytree(plain, tmp_path / "compiled")
    save_file(
        {prefix + key: value for key, value in weights.items()}, tmp_path / "compiled/model.safetensors"
    )
    model = loading.find(str(tmp_path / "compiled")).create(weights=True)
    assert all(value.equal(weights[key]) for key, value in model.state_dict().items())
