"""A search knows all results at the highest rung when the model chooses, also after it was killed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas.optimizers.protocol import Fidelity
from nas.optimizers.settings import OptimizerSettings
from nas.run import journal
from nas.run.events import Asked, Ended
from nas.run.folder import Run
from nas.search.settings import SearchSettings
from nas.util.errors import SettingError

TOP = Fidelity(9, 9)


def missing(path: Path) -> list[int]:
    """How many results the model did not know, for each of its choices."""
    chosen, asked, ended = [], 0, 0
    for event in journal.read(Run(path).journal).events:
        if isinstance(event, Asked):
            chosen += [asked - ended] if event.origin.startswith("acquisition") else []
            asked += 1
        ended += isinstance(event, Ended)
    return chosen


@pytest.mark.parametrize(("ask_ahead", "unknown"), [("low", {0}), ("always", {1})])
def test_a_search_knows_all_results_or_all_but_one(
    simulate: Callable[..., Any], ask_ahead: Any, unknown: set[int]
) -> None:
    simulation = simulate(fidelity=TOP, trials=25, smac=OptimizerSettings(ask_ahead=ask_ahead))
    simulation.run()
    found = missing(simulation.path)
    assert len(found) > 10
    assert set(found) == unknown


def test_a_search_that_was_killed_goes_on_as_the_uninterrupted_one(simulate: Callable[..., Any]) -> None:
    def asked() -> list[tuple[str, str]]:
        events = journal.read(Run(simulation.path).journal).events
        return [(event.config_id, event.origin) for event in events if isinstance(event, Asked)]

    simulation = simulate(fidelity=TOP, trials=16)
    simulation.run()
    whole, lines = asked(), Run(simulation.path).journal.read_bytes().splitlines(keepends=True)
    for cut in range(len(lines) // 2, len(lines) // 2 + 5):
        Run(simulation.path).journal.write_bytes(b"".join(lines[:cut]))
        simulation.run()
        assert asked() == whole


def test_a_run_of_before_goes_on_as_it_began() -> None:
    values = SearchSettings().to_json()
    assert SearchSettings.from_json(values).smac.ask_ahead == "low"
    del values["smac"]["ask_ahead"]
    assert SearchSettings.from_json(values).smac.ask_ahead == "always"


def test_other_values_are_refused() -> None:
    with pytest.raises(SettingError, match="must be low or always"):
        OptimizerSettings(ask_ahead="never")  # type: ignore[arg-type]
