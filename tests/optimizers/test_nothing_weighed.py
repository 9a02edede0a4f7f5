"""With one objective and no limit nothing changes: with costs or without, the same trials are proposed."""

from __future__ import annotations

from typing import Any

import pytest

from nas.optimizers import create
from nas.optimizers.objectives import Costs
from nas.optimizers.protocol import Fidelity
from nas.optimizers.settings import OptimizerSettings
from search_spaces.base import SearchSpace

FIDELITY = Fidelity(1, 9, 3)


@pytest.mark.parametrize("limits", [{}, {"macs": 1e30}], ids=["no limit", "a limit that all keep"])
def test_nothing_to_weigh_changes_nothing(
    space: SearchSpace, driver: Any, costs: Any, limits: dict[str, float]
) -> None:
    """Random configurations are counted, so that they are drawn otherwise within a limit: none here."""
    settings = OptimizerSettings(initial_configs=0, min_trials=2, random_probability=0)

    def asked(weighed: Costs | None) -> list[Any]:
        optimizer = create("smac", space, FIDELITY, 5, settings, costs=weighed)
        return [(one.config, one.epochs, one.origin) for one in driver(optimizer).serial(40)]

    plain = asked(None)
    assert any(origin.startswith("acquisition") for *_, origin in plain)
    assert asked(Costs((), limits, costs().known)) == plain
