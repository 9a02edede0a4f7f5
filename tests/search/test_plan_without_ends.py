"""Plans of a space that names no cheapest and costliest point, and of settings that a search would refuse."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import search_spaces
from nas.execution.messages import Facts, Measurement
from nas.optimizers.settings import OptimizerSettings
from nas.run.search_file import Data, Hardware
from nas.search import plan
from nas.search.settings import ChoiceSettings, SearchSettings
from nas.util.errors import UserError
from search_spaces.nexception import NEXcepTionSpace


class Bare(NEXcepTionSpace):
    @property
    def points(self) -> dict[str, Any]:
        return {}


FAILS = Bare().sample(2, 0)[1]  # one of those that a plan measures: its builder fails


class Device:
    """Measures what a configuration's kernels cost."""

    wanted = 1

    def start(self) -> Facts:
        return Facts(Data(name="x"), Hardware(device="cpu", cores=1, threads=1), {}, 16, {})

    def measure(self, config: Any) -> Measurement:
        if isinstance(config, str):  # it looks for these itself
            return Measurement({"cheapest": 33.0, "costliest": 99.0}[config], 0.1, 0.1, 1000)
        if config == FAILS:
            raise UserError("the device cannot be measured: no such network")
        return Measurement(config["kernel_down"] + 10.0 * config["kernel_mid"], 0.1, 0.1, 1000)

    def close(self) -> None:
        """Nothing runs."""


@pytest.fixture(autouse=True)
def _measured_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    shared = SimpleNamespace(levels=(), gain=1.0, gpus=1, reason="", close=lambda: None)
    monkeypatch.setattr(plan, "decide", lambda *_: shared)
    monkeypatch.setattr(plan, "choose", lambda *_: Device())


def test_ends_without_a_name_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_spaces, "get", lambda _: Bare())
    made = plan.make(SearchSettings())
    assert list(made.measured) == ["cheapest", "default", "costliest", "typical"]
    seconds = {name: point.train_seconds for name, point in made.measured.items()}
    assert seconds["cheapest"] <= seconds["default"] <= seconds["costliest"]
    assert seconds["cheapest"] < seconds["typical"] < seconds["costliest"]
    assert made.least <= made.trials <= made.most


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (SearchSettings(smac=OptimizerSettings(prior="nonsense=1")), "nonsense"),
        (SearchSettings(choice=ChoiceSettings(warm_start=Path("runs/none"))), "runs/none"),
    ],
)
def test_a_plan_refuses_what_the_search_would(settings: SearchSettings, words: str) -> None:
    with pytest.raises(UserError, match=words):
        plan.make(settings)
