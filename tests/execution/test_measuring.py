"""Costs that trials measure: on the device, by a user's command, once for each configuration."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import search_spaces
from nas.execution.counted import CountedNetwork
from nas.execution.measuring import CommandFailed, CostMeter, by_command
from nas.execution.settings import Measured
from nas.trial.trainer import EpochMetrics

NETWORK = CountedNetwork("resnet", "reduced", 8, 8, 10, 3)
SPACE = search_spaces.get("resnet")


def meter(*costs: str, command: str | None = None) -> CostMeter:
    return CostMeter(Measured(costs, "reduced", command), NETWORK, SPACE, torch.device("cpu"))


def test_latency_and_memory_are_those_of_the_network(one_thread: None) -> None:
    found = meter("latency", "memory").measure(SPACE.default, {}, [])
    weights = sum(p.numel() * 4 for p in SPACE.network(SPACE.default, SPACE.reduced(8, 8), 10).parameters())
    assert 0 < found["cost_latency"] < 10_000
    assert found["cost_memory"] >= weights


def test_what_was_measured_before_is_taken_over() -> None:
    known = {"cost_latency": 3.5, "cost_memory": 7.0, "cost_other": 1.0}
    assert meter("latency", "memory").measure({}, known, []) == {"cost_latency": 3.5, "cost_memory": 7.0}


def test_the_seconds_of_an_epoch_are_the_median() -> None:
    rows = [(1, 9.0), (2, 2.0), (3, 1.0)]
    curve = [EpochMetrics(epoch, 1.0, 1.0, 0.1, 0.5, 0.1, seconds, 1.0) for epoch, seconds in rows]
    found = meter("epoch_seconds").measure({}, {"cost_epoch_seconds": 5.0}, curve)
    assert found == {"cost_epoch_seconds": 2.0}


def script(folder: Path, text: str) -> str:
    path = folder / "bench.py"
    path.write_text(text)
    return f"{sys.executable} {path} {{onnx}}"


def test_a_command_gets_the_network_and_tells_milliseconds(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 5)).eval()
    told = "import sys, onnx; print('read', len(onnx.load(sys.argv[1]).graph.node), 'took', 4.25)"
    assert by_command(script(tmp_path, told), model, (3, 2, 2)) == 4.25


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("print('fast')", "no milliseconds: 'fast'"),
        ("print(-1)", "no milliseconds"),
        ("import sys; print(4); sys.exit('no phone')", "code 1 and no milliseconds: 'no phone'"),
        ("", "no milliseconds: ''"),
        ("print('nan')", "no milliseconds: 'nan'"),
    ],
)
def test_a_command_without_a_number_fails_the_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, said: str
) -> None:
    monkeypatch.setattr("nas.trial.onnx_file.write", lambda *_: None)
    with pytest.raises(CommandFailed) as caught:
        by_command(script(tmp_path, text), nn.Flatten(), (3, 2, 2))
    assert said in str(caught.value)
