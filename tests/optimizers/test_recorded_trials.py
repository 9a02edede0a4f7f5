"""A space of choices alone is searched as it always was: same seed, same trials."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from nas.optimizers import create
from nas.optimizers.protocol import Fidelity, Outcome
from nas.optimizers.settings import OptimizerSettings
from search_spaces.base import Config, config_id

CASES = {
    "process": OptimizerSettings(rungs="all"),
    "forest": OptimizerSettings(model="forest", brackets="hyperband", rungs="all"),
    "prior": OptimizerSettings(prior="se=true,kernel_mid=7:3", rungs="all"),
}


def error(config: Config, epochs: int) -> float:
    """A formula of the choices, so that there is something to learn."""
    score = 0.1 * (int(config["bottleneck"]) + int(config["se"])) + 0.02 * int(config["kernel_mid"])
    score += {"relu": 0.0, "gelu": 0.1, "elu": 0.04, "celu": 0.03}[str(config["activation"])]
    return 0.9 - 0.5 * score * (1 - 1 / (1 + epochs / 9)) + int(config_id(config), 16) % 97 / 5000


@pytest.mark.parametrize("case", CASES)
def test_the_same_seed_gives_the_trials_that_were_recorded(space: Any, case: str) -> None:
    """Recorded before there were conditions and numbers, by the program as it was then.

    Trees grow otherwise in older releases of scikit-learn: what its forest chooses is not compared there.
    """
    recorded = json.loads(Path(__file__).with_name("recorded_trials.json").read_text())[case]
    if case == "forest" and Version(version("scikit-learn")) < Version("1.9"):
        recorded = recorded[: [origin for *_, origin in recorded].index("acquisition: neighbour")]
        assert len(recorded) > 10
    optimizer = create("smac", space, Fidelity(5, 45, 3), 7, CASES[case])
    for number, trial in enumerate(recorded):
        asked = optimizer.ask()
        assert asked is not None
        assert [config_id(asked.config), asked.epochs, asked.origin] == trial, number
        optimizer.tell(asked, Outcome(error(asked.config, asked.epochs), 1.0, number, number + 1.0))
