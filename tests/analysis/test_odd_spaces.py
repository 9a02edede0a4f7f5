"""Reports of odd spaces: one that is called as one of ours, and one with nothing to choose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from analysis.figures.network import parts
from analysis.frames import load
from analysis.report.__main__ import main
from nas.execution.simulated import SimulatedResult

SPACE = """
from search_spaces.base import Hyperparameter, SearchSpace


class ResNet(SearchSpace):
    hyperparameters = (
        Hyperparameter("kernel", (3, 5, 7, 9, 11), 3, ordinal=True),
        Hyperparameter("stem", ("conv", "patchify"), "conv", "mine"),
    )

    def build(self, config):
        raise NotImplementedError
"""


def error(config: dict[str, Any], epochs: int, seed: int) -> SimulatedResult:
    return SimulatedResult(
        tuple(0.2 + 0.3 / (1 + epoch) for epoch in range(epochs)), 1.0, params=1e4, macs=1e6
    )


def test_it_is_shown_as_what_it_is(simulate: Any, tmp_path: Path, capsys: Any) -> None:
    (tmp_path / "resnet.py").write_text(SPACE)
    simulate("run", problem=error, trials=12, space=str(tmp_path / "resnet.py")).run()
    run = load(tmp_path / "run")
    assert run.search.space.name == "resnet"
    assert run.hyperparameters["stem"].meaning == "mine"
    assert run.hyperparameters["kernel"].meaning == ""
    (drawn,) = parts(run, run.default)
    assert set(drawn.lines) == {"kernel: 3", "stem: conv"}
    assert main([str(tmp_path / "run")]) == 0, capsys.readouterr().err


def test_a_space_of_one_configuration_has_a_report(simulate: Any, tmp_path: Path, capsys: Any) -> None:
    one = SPACE.replace("(3, 5, 7, 9, 11)", "(3,)").replace('("conv", "patchify")', '("conv",)')
    (tmp_path / "one.py").write_text(one)
    simulate("run", problem=error, trials=12, space=str(tmp_path / "one.py")).run()
    assert main([str(tmp_path / "run")]) == 0, capsys.readouterr().err
    assert (tmp_path / "run" / "analysis" / "report.html").exists()
