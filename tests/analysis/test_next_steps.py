"""What a report advises fits the seeds that the search has trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.frames import load
from analysis.report import findings


def advice(path: Path) -> str:
    return " ".join(step.why for step in findings.next_steps(load(path), confirmed=False))


@pytest.mark.parametrize(
    ("share", "said"), [(0.0, "Each network was trained with one seed."), (0.5, "with further seeds")]
)
def test_advice_to_confirm_says_how_many_seeds_there_were(
    simulation: Callable[..., Any], tmp_path: Path, share: float, said: str
) -> None:
    simulation(tmp_path / "run", trials=120, replicates=share).run()
    repeated = any(trial.repeat for trial in load(tmp_path / "run").state.trials.values())
    assert repeated == (share > 0)
    assert said in advice(tmp_path / "run")
    assert ("one seed" in advice(tmp_path / "run")) == (not repeated)
