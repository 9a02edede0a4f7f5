"""The panel can be read at every width: labels are whole, and a running trial has its accuracy."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from nas.view import panel
from nas.view.snapshot import IncumbentSummary, Rung, RunningTrial, Snapshot

INCUMBENT = IncumbentSummary(
    trial=12,
    config_id="c0ffee",
    epochs=9,
    error=0.081,
    baseline_error=0.093,
    found_after_seconds=3661.0,
    params=12.3e6,
    macs=1.4e9,
    baseline_params=11.0e6,
    baseline_macs=1.5e9,
    changes=[("kernel_mid", 3, 5), ("bottleneck", False, True), ("norm_positions", "123", "12")],
)
WEEKEND = Snapshot(
    name="weekend",
    status="running",
    stop_reason="",
    space="nexception",
    dataset="CIFAR-10",
    device="NVIDIA H100 80GB HBM3",
    width=64,
    optimizer="smac",
    budget_seconds=259200.0,
    used_seconds=40000.0,
    trial_limit=4000,
    finished=1331,
    crashed=2,
    sessions=1,
    running=[
        RunningTrial(1333, "a1b2c3d4e5f6", "promotion", 90, 40, 33.0, 12345.0, 0.8123),
        RunningTrial(1334, "a1b2c3d4e5f7", "model", 9, 0, 3.0, None, None),
    ],
    rungs=[Rung(1, 1020, 1, 1, 0.2, 0.3, 0.25), Rung(30, 308, 1, 0, 0.15, 0.2, None)],
    incumbent=INCUMBENT,
    training_share=0.97,
    optimizer_share=0.01,
    crash_reasons=["trial 7: CUDA out of memory. Tried to allocate 2.00 GiB (GPU 0)"],
    workers=2,
)


def drawn(width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(panel.draw(WEEKEND))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [40, 50, 60, 72, 79, 80, 81, 100, 120, 200])
def test_labels_and_figures_are_whole(width: int) -> None:
    lines = drawn(width)
    assert {len(line) for line in lines} == {width}
    words = " ".join(re.sub("[│╭╮╰╯─━╸]+", " ", "\n".join(lines)).split())
    for label in ("trial 1333 ", "trial 1334 ", "epochs", "trials", "median", "baseline", "incumbent"):
        assert label in words
    assert "epoch 40 of 90, 3h 25m to go, top-1 81.23%" in words
    assert "epoch 0 of 9" in words
    assert "11h 06m of 3d 00h 1,331 of 4,000 trials, 2 crashed" in words
    for figure in ("1020", "80.00%", "70.00%", "75.00%", "85.00%", "kernel_mid 3 → 5"):
        assert figure in words
    cut = [line for line in lines if "…" in line]
    assert all("crashed  trial 7" in line for line in cut), "a crash's reason alone may be cut"


def test_what_there_is_room_for_is_said_beside_the_bar() -> None:
    (line,) = (line for line in drawn(120) if "trial 1333" in line)
    assert line.index("epoch 40") == len("│ trial 1333 ") + 24 + 1
    assert "top-1 81.23%  a1b2c3d4e5f6 promotion" in line
    (line,) = (line for line in drawn(80) if "trial 1333" in line)
    assert "top-1 81.23%" in line
