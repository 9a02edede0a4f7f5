"""The timing of asks: its made-up history is one that the default search could have had."""

from __future__ import annotations

import pytest

import search_spaces
from benchmarks.optimizer_ask import CASES, made_up_costs, measure, random_history


@pytest.mark.parametrize("costs", [0, 1])
@pytest.mark.parametrize("case", CASES)
def test_the_default_search_goes_on_from_a_history_that_cost_no_model(case: str, costs: int) -> None:
    space, fidelity = search_spaces.get("nexception"), CASES[case]
    weighed = made_up_costs(space, costs)
    history = random_history(space, fidelity, 60, weighed)
    assert len(measure(space, fidelity, history, asks=6, costs=weighed)) == 4
