"""From a configuration to a trained network: export, training killed and resumed, scores, profile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from search_spaces.nexception.geometry import Geometry

Command = Callable[..., str]
Read = Callable[[Path], dict[str, Any]]
SHORT = (
    *("--data", "digits", "--max-images", "200", "--batch-size", "20", "--epochs", "3", "--workers", "0"),
    *("--warmup-epochs", "1", "--ema", "0.9", "--checkpoint-steps", "2", "--quiet"),
)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, command: Command, tiny_geometry: Geometry) -> Path:
    folder = tmp_path_factory.mktemp("networks")
    (folder / "tiny.json").write_text(json.dumps(replace(tiny_geometry, image_size=32).to_json()))
    words = ("--geometry", folder / "tiny.json", "--num-classes", "10", "--onnx", "-o", folder / "tiny")
    command("nas.export", "nexception", *words)
    assert (folder / "tiny" / "model.onnx").stat().st_size > 1000  # it was compared before it was written
    return folder / "tiny"


@pytest.fixture(scope="module")
def trained(
    exported: Path, command: Command, command_device: str, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A training that was killed once, after a checkpoint, and went on."""
    output = tmp_path_factory.mktemp("trained") / "out"
    words = [str(exported), *SHORT, "-o", str(output), "--device", training_device(command_device)]
    process = subprocess.Popen(
        [sys.executable, "-m", "nas.train", *words], env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    deadline = time.monotonic() + 120
    while not list(output.glob("seed-0/checkpoints/last-*.pt")):
        assert time.monotonic() < deadline, "no checkpoint"
        assert process.poll() is None, "the training ended by itself"
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    command("nas.train", *words)
    return output / "seed-0"


def training_device(device: str) -> str:
    return "auto" if device.startswith("cuda") else device


def test_a_killed_training_ends_as_an_unkilled_one(
    trained: Path, exported: Path, command: Command, command_device: str, tmp_path: Path, read: Read
) -> None:
    words = (exported, *SHORT, "-o", tmp_path / "out", "--device", training_device(command_device))
    command("nas.train", *words)
    one, other = read(trained / "result.json"), read(tmp_path / "out" / "seed-0" / "result.json")
    assert [row["epoch"] for row in one["curve"]] == [1, 2, 3]
    # On a GPU nas.train does not ask for deterministic kernels.
    exact = {"rel": 1e-6} if command_device == "cpu" else {"rel": 0.1}
    for key in ("train_loss", "val_loss"):
        assert one["curve"][-1][key] == pytest.approx(other["curve"][-1][key], **exact)


def test_its_scores_are_those_it_was_trained_to(
    trained: Path, command: Command, command_device: str, tmp_path: Path, read: Read
) -> None:
    words = ("--data", "digits", "--device", command_device, "-o", tmp_path / "scores")
    command("nas.evaluate", trained / "tiny", *words)
    scores, result = read(tmp_path / "scores" / "scores.json"), read(trained / "result.json")
    assert scores["loss"] == pytest.approx(result["test"]["loss"], rel=0.02)
    assert scores["top1"] == pytest.approx(result["test"]["top1"], abs=2.5 / scores["images"])


def test_profiles_count_the_same_and_time_something(
    exported: Path, command: Command, command_device: str, tmp_path: Path, read: Read
) -> None:
    words = ("--device", command_device, "--batch-size", "4", "--repeats", "3", "--warm-up", "1")
    command("nas.profile", exported, "test_resnet", *words, "-o", tmp_path / "out")
    rows = (tmp_path / "out" / "profile.md").read_text()
    assert "tiny" in rows
    assert "test_resnet" in rows
    assert read(tmp_path / "out" / "profile.json")
