"""SMAC's own files, for tools that read them."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING

from smac.runhistory import StatusType

if TYPE_CHECKING:
    from pathlib import Path

    from nas.optimizers.smac.facade import QuietFacade


def write_snapshot(facade: QuietFacade, folder: Path, elapsed: float, finished: bool) -> None:
    """Writes what stock SMAC would have written into its output directory.

    Trials that still run are left out: SMAC would neither run them again nor drop them.

    Args:
        facade: What to write.
        folder: An empty folder.
        elapsed: Seconds since the first trial began.
        finished: Whether the search has come to its end.
    """
    scenario = copy.copy(facade.scenario)
    object.__setattr__(scenario, "output_directory", folder)
    scenario.save()

    history = copy.copy(facade.runhistory)
    history._data = {k: v for k, v in history.items() if v.status != StatusType.RUNNING}
    history._running_trials = []
    history._running, history._submitted = 0, len(history)
    history.save(folder / "runhistory.json")

    facade.intensifier.save(folder / "intensifier.json")
    spent = sum(value.time for value in history.values())
    optimization = {
        "used_walltime": elapsed,
        "used_target_function_walltime": spent,
        "used_target_function_cputime": 0.0,
        "last_update": max((value.endtime for value in history.values()), default=0.0),
        "finished": finished,
    }
    (folder / "optimization.json").write_text(json.dumps(optimization, indent=2))
