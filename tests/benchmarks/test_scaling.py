from __future__ import annotations

from pathlib import Path

from benchmarks.scaling import SimulatedRun, read_and_show
from nas.optimizers.settings import OptimizerSettings
from nas.run.events import SessionStarted


def test_a_simulated_run_is_made_read_and_shown(tmp_path: Path) -> None:
    simulated = SimulatedRun(
        tmp_path, 4, 12, settings=OptimizerSettings(random_probability=1.0), durable=False
    )
    search, file, _ = simulated.search()
    with file:
        search.run(SessionStarted("", 0.0, command=[], hardware={}, versions={}))
    assert read_and_show(simulated.run).startswith("| 12 |")
