"""nas.train on a pretended GPU: every precision and option, its checkpoints, and what it publishes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from accelerate.state import AcceleratorState, GradientState
from safetensors.torch import load_file

import search_spaces
from nas.evaluate import __main__ as evaluate
from nas.export import __main__ as export
from nas.train import __main__ as train
from nas.train import one_seed
from nas.util.errors import UserError

pytestmark = pytest.mark.usefixtures("one_thread")

SHORT = ("--batch-size", "20", "--max-images", "60", "--workers", "0", "--warmup-epochs", "0", "--quiet")
OPTIONS = {
    "the recipe in bfloat16": (),
    "float32, split, computed twice, adamw, nothing mixed": (
        *("--amp", "off", "--accumulate", "2", "--grad-checkpointing", "--opt", "adamw"),
        *("--mixup", "0", "--cutmix", "0", "--loss", "ce"),
    ),
    "float16, its own average, split, clipped": (
        *("--amp", "fp16", "--ema", "0.9", "--accumulate", "2", "--opt", "sgd", "--clip-grad", "1"),
    ),
}


@pytest.fixture(autouse=True)
def _fresh():
    yield
    forget()


def forget():
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


@pytest.fixture(scope="module")
def network(tmp_path_factory, tiny_geometry):
    folder = tmp_path_factory.mktemp("networks")
    (folder / "tiny.json").write_text(json.dumps(replace(tiny_geometry, image_size=16).to_json()))
    (folder / "n.json").write_text(json.dumps(search_spaces.get("nexception").points["nexception"]))
    args = [str(folder / "n.json"), "--geometry", str(folder / "tiny.json"), "--num-classes", "10", "--quiet"]
    assert export.main([*args, "-o", str(folder / "tiny")]) == 0
    return folder / "tiny"


def run(network, output, *args):
    forget()
    assert train.main([str(network), "--data", "digits", "-o", str(output), *SHORT, *args]) == 0
    return json.loads((output / "seed-0" / "result.json").read_text())


def figures(result):
    return [
        {key: row[key] for key in ("train_loss", "val_loss", "val_top1", "lr")} for row in result["curve"]
    ]


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_stopped_after_a_checkpoint_it_ends_as_one_that_never_stopped(
    fake_cuda, network, tmp_path, monkeypatch, options
):
    fake_cuda()
    args = ("--epochs", "2", "--checkpoint-steps", "1", *options)
    whole = run(network, tmp_path / "whole", *args)
    assert whole["curve"][0]["peak_memory"] > 0

    save, saved = one_seed._Run._save, []

    def stop_amid_the_second_epoch(self, epoch, update):
        save(self, epoch, update)
        saved.append((epoch, update))
        if (epoch, update) == (1, 1):
            raise KeyboardInterrupt

    monkeypatch.setattr(one_seed._Run, "_save", stop_amid_the_second_epoch)
    with pytest.raises(KeyboardInterrupt):
        run(network, tmp_path / "halted", *args)
    monkeypatch.setattr(one_seed._Run, "_save", save)
    assert saved == [(0, 1), (1, 0), (1, 1)]
    again = run(network, tmp_path / "halted", *args)
    assert figures(again) == figures(whole)
    assert again["test"] == whole["test"]
    weights = [tmp_path / name / "seed-0" / "tiny" / "model.safetensors" for name in ("whole", "halted")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    published = load_file(weights[0])
    assert {tensor.device.type for tensor in published.values()} == {"cpu"}
    assert all(torch.isfinite(tensor).all() for tensor in published.values() if tensor.is_floating_point())
    assert json.loads((tmp_path / "whole" / "train.json").read_text())["hardware"]["device"].startswith(
        "cuda:0"
    )


def test_a_training_begun_on_the_gpu_goes_on_without_one(fake_cuda, network, tmp_path, monkeypatch):
    """And its network is evaluated on either."""
    fake_cuda()
    args = ("--epochs", "2", "--amp", "off")
    epoch = one_seed._Run._epoch

    def stop(self, number, *rest):
        if number == 1:
            raise KeyboardInterrupt
        epoch(self, number, *rest)

    monkeypatch.setattr(one_seed._Run, "_epoch", stop)
    with pytest.raises(KeyboardInterrupt):
        run(network, tmp_path / "out", *args)
    monkeypatch.setattr(one_seed._Run, "_epoch", epoch)
    assert len(run(network, tmp_path / "out", *args, "--device", "cpu")["curve"]) == 2
    folder = tmp_path / "out" / "seed-0" / "tiny"
    scores = []
    for device in ("cpu", "auto", "cuda:0"):
        command = [str(folder), "--data", "digits", "--device", device, "--amp", "off"]
        assert evaluate.main([*command, "-o", str(tmp_path / device)]) == 0
        found = json.loads((tmp_path / device / "scores.json").read_text())
        assert found["hardware"]["device"].startswith("cpu" if device == "cpu" else "cuda:0")
        scores.append((found["top1"], found["loss"], found["ece"]))
    assert scores[0] == scores[1] == scores[2]


@pytest.mark.parametrize("amp", ["auto", "bf16", "fp16", "off"])
def test_evaluated_in_every_precision(fake_cuda, network, tmp_path, amp):
    fake_cuda()
    assert evaluate.main([str(network), "--data", "digits", "--amp", amp, "-o", str(tmp_path / "out")]) == 0


def test_short_memory_is_one_line_that_says_what_to_do(fake_cuda, network, tmp_path):
    gpu = fake_cuda()
    peak = run(network, tmp_path / "first", "--epochs", "1")["curve"][0]["peak_memory"]
    gpu.memory.size = int(0.7 * peak)
    with pytest.raises(
        UserError, match="--batch-size 20: out of memory; split it by a larger --grad-accum-steps"
    ):
        run(network, tmp_path / "second", "--epochs", "1")
    judge = [str(network), "--data", "digits", "-o", str(tmp_path / "scores")]
    with pytest.raises(UserError, match="--batch-size 256: out of memory; must be smaller"):
        evaluate.main(judge)
    gpu.memory.size = 1000
    with pytest.raises(UserError, match="tiny: has no room on cuda:0; use --device cpu"):
        evaluate.main(judge)
    with pytest.raises(UserError, match="tiny: has no room on cuda:0; use --device cpu"):
        run(network, tmp_path / "third", "--epochs", "1")


def test_without_the_gpu_nothing_is_pinned_for_it(fake_cuda, network, tmp_path):
    gpu = fake_cuda()
    run(network, tmp_path / "out", "--epochs", "1", "--device", "cpu")
    assert not gpu.memory._pinned
    assert gpu.waits == []
