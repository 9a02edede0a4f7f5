"""With one objective and no limit nothing changes: with costs or without, the same trials are proposed."""

from __future__ import annotations

from typing import Any

from nas.optimizers import create
from nas.optimizers.objectives import Costs
from nas.optimizers.protocol import Fidelity
from nas.optimizers.settings import OptimizerSettings
from search_spaces.base import SearchSpace

FIDELITY = Fidelity(1, 9, 3)


def test_nothing_to_weigh_changes_nothing(space: SearchSpace, driver: Any, costs: Any) -> None:
    settings = OptimizerSettings(initial_configs=4, min_trials=2)

    def asked(weighed: Costs | None) -> list[Any]:
        optimizer = create("smac", space, FIDELITY, 5, settings, costs=weighed)
        return [(one.config, one.epochs, one.origin) for one in driver(optimizer).serial(40)]

    plain = asked(None)
    assert any(origin.startswith("acquisition") for *_, origin in plain)
    assert asked(Costs((), {}, costs().known)) == plain
