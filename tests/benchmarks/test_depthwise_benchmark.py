"""The table of ways: it runs on a CPU, and marks where the rule is not the fastest."""

import pytest
import torch

from benchmarks import depthwise
from nas.trial.kernels.depthwise import matmul
from nas.trial.kernels.depthwise.rule import Problem
from nas.util.errors import UserError

PROBLEM = Problem("cpu", torch.float32, 64, 16, 4, 4, 9, 1)


@pytest.mark.parametrize(
    ("ms", "mark"),
    [
        ({"library": 3.0, "as_forward": 2.0, "matmul": 1.0}, ""),
        ({"library": 3.0, "as_forward": 0.5, "matmul": 1.0}, "**as_forward** 2.0x"),
        ({"library": 3.0, "as_forward": 0.95, "matmul": 1.0}, ""),  # within noise
    ],
)
def test_the_fastest_is_marked_where_the_rule_chose_another(ms, mark):
    row = depthwise.Row(PROBLEM, "weight_gradient", "matmul", ms, 0.25)
    *_, line = depthwise.table([row], ["library", "as_forward", "matmul"]).splitlines()
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    times = [f"{value:.3f}" for value in ms.values()]
    assert cells == ["64, 16, 4, 4", "9, 1", "weight gradient", *times, "0.250", "matmul", mark]


def test_a_way_that_fails_is_shown_and_the_others_are_timed(monkeypatch):
    def broken(*_):
        raise RuntimeError("no memory\nat all")

    monkeypatch.setattr(matmul, "weight_gradient", broken)
    rows = depthwise.measure(PROBLEM, 1e9, 1, torch.device("cpu"))
    assert [row.of for row in rows] == ["forward", "input_gradient", "weight_gradient"]
    assert set(rows[2].ms) == {"library", "as_forward"}
    assert rows[2].failed == {"matmul": "RuntimeError: no memory"}
    assert rows[2].better in rows[2].ms  # the rule's own choice failed
    assert "| failed |" in depthwise.table(rows, depthwise.WAYS["cpu"])
    assert rows[0].floor == pytest.approx(1e3 * 2 * 64 * 16 * 4 * 4 * 4 / 1e9)


def test_quick_run(capsys, monkeypatch):
    monkeypatch.setattr(depthwise, "ceilings", lambda *_: (1e11, 1e10))  # the real one copies for seconds
    monkeypatch.setattr(depthwise, "_CALLS_SECONDS", {"cpu": 1e-4})
    depthwise.main(depthwise.DepthwiseSettings(device="cpu", quick=True, kernels=(3, 9), side=16))
    said = capsys.readouterr().out
    assert "width 16, batch 8, ms" in said
    assert "| 8, 48, 4, 4 | 9, 1 | weight gradient |" in said
    assert "failed" not in said
    assert "| 3, 2 | forward |" in said


@pytest.mark.parametrize("flag", ["batch", "turns", "threads"])
def test_numbers_out_of_range_are_refused(flag):
    with pytest.raises(UserError, match=f"--{flag} -1: must be at least"):
        depthwise.main(depthwise.DepthwiseSettings(device="cpu", quick=True, **{flag: -1}))
