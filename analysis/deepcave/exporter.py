"""The export of a run for DeepCAVE: one file, written from the journal and replaced atomically.

DeepCAVE's page reads the file while the search goes on, and drops a run for good when it cannot be
read. So it is never written in place, and all of it is one file: space, configurations and trials
always fit each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from analysis import levels
from nas.run import journal
from nas.run.folder import write_json
from nas.run.objectives import COST, Objectives, title
from nas.run.state import SearchState
from nas.util.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from nas.run.folder import Run
    from nas.run.state import Trial

FORMAT = 1

# Error first and MACs last: so DeepCAVE's Pareto front begins with these two.
OBJECTIVES: list[dict[str, Any]] = [
    {"name": "error", "lower": 0.0, "upper": 1.0, "optimize": "lower"},
    {"name": "top-1", "lower": 0.0, "upper": 1.0, "optimize": "upper"},
    {"name": "loss", "lower": 0.0, "upper": None, "optimize": "lower"},
    {"name": "seconds", "lower": 0.0, "upper": None, "optimize": "lower"},
    {"name": "params", "lower": 0.0, "upper": None, "optimize": "lower"},
    {"name": "MACs", "lower": 0.0, "upper": None, "optimize": "lower"},
]


def export_path(run: Run) -> Path:
    """The file that DeepCAVE's converter reads."""
    return run.path / "deepcave" / "history.json"


def snapshot(run: Run, state: SearchState) -> dict[str, Any]:
    """Converts a run to the form that our DeepCAVE converter reads.

    DeepCAVE's evaluators take for a number what is one, but know no conditions, and their importances differ
    in kind from those of choices. So a space that has more than choices goes as its levels, inactive among
    them (:mod:`analysis.levels`); the values themselves go with each trial.

    Trials that were answered from the record are left out: nothing was trained for them, and they
    would count twice.

    Args:
        run: Where the space and the settings are.
        state: The trials.

    Raises:
        UserError: If the run's files are damaged.
    """
    search = run.read_search()
    objectives = Objectives.of(search)
    choice = search.settings.choice
    space = _configspace(run)
    try:
        found = levels.of(space)
        flat = levels.flat(space)
        space = space if flat else levels.discrete(space, found)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        raise UserError(f"{run.configspace_json}: not readable as a configuration space ({error})") from None
    numbers: dict[str, int] = {}
    configs: list[dict[str, Any]] = []
    origins: list[str] = []
    trials: list[dict[str, Any]] = []
    for trial in state.trials.values():
        if not trial.finished or trial.cached:
            continue
        if trial.config_id not in numbers:
            numbers[trial.config_id] = len(configs)
            configs.append(trial.config if flat else levels.named(trial.config, found))
            origins.append(trial.origin)
        trials.append(
            _trial(trial, numbers[trial.config_id], {} if flat else {"values": trial.config}, objectives)
        )
    return {
        "format": FORMAT,
        "name": run.name,
        "optimizer": choice.optimizer,
        "seed": choice.seed,
        "space": search.space.name,
        "data": search.data.name,
        "configspace": space,
        "objectives": described(objectives),
        "configs": configs,
        "origins": origins,
        "trials": trials,
    }


def described(objectives: Objectives | None) -> list[dict[str, Any]]:
    """Returns the objectives for DeepCAVE, with the search's costs last, where its front begins.

    Args:
        objectives: What the search minimises besides the error, None for nothing.
    """
    if objectives is None:
        return OBJECTIVES
    network = objectives.network
    return [
        *OBJECTIVES,
        *(
            {"name": f"{title(name)} ({network})", "lower": 0.0, "upper": None, "optimize": "lower"}
            for name in _cost_names(objectives)
        ),
    ]


def _cost_names(objectives: Objectives | None) -> tuple[str, ...]:
    """Returns the costs of a search, the first that it minimises last."""
    return () if objectives is None else objectives.names[::-1]


def _configspace(run: Run) -> Any:
    try:
        return orjson.loads(run.configspace_json.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(f"{run.configspace_json}: not readable ({error}); restore it from a copy") from None


def _trial(
    trial: Trial, config: int, more: Mapping[str, Any], objectives: Objectives | None
) -> dict[str, Any]:
    measured = trial.metrics
    costs = [trial.error, measured.get("top1"), measured.get("val_loss"), trial.seconds]
    costs += [measured.get("params"), measured.get("macs")]
    costs += [measured.get(COST + name) for name in _cost_names(objectives)]
    return {
        "trial": trial.trial,
        "config": config,
        "budget": trial.epochs,
        **({"repeat": trial.repeat} if trial.repeat else {}),
        "costs": costs if trial.status == "success" else None,
        "start": trial.clock_started,
        "end": trial.clock_ended,
        "status": trial.status if trial.status == "success" else _kind(trial.reason),
        "additional": {
            "trial": trial.trial,
            "origin": trial.origin,
            "started": trial.started,
            "ended": trial.ended,
            **more,
            **({"traceback": trial.reason} if trial.reason else {}),
        },
    }


def _kind(reason: str) -> str:
    """DeepCAVE tells running out of memory or time from other crashes; the journal has the words."""
    said = reason.lower()
    if "out of memory" in said:
        return "memoryout"
    return "timeout" if journal.OVERTIME in said else "crashed"


class Exporter:
    """Keeps a run's export up to date while its journal grows."""

    def __init__(self, run: Run) -> None:
        """Takes the run; nothing is read or written yet."""
        self._run = run
        self._state = SearchState()
        self._offset = 0
        self._lines = 0
        self._written = -1

    @property
    def successes(self) -> int:
        """Successful trials so far."""
        return sum(trial.status == "success" for trial in self._state.trials.values())

    def refresh(self) -> bool:
        """Writes the export again if trials have finished since; says whether it did.

        Raises:
            UserError: If the journal is damaged or the folder not writable.
        """
        contents = journal.read(self._run.journal, self._offset, self._lines + 1)
        for event in contents.events:
            self._state.apply(event)
        self._offset, self._lines = contents.size, self._lines + len(contents.events)
        if self._state.finished == self._written:
            return False
        path = export_path(self._run)
        history = snapshot(self._run, self._state)
        try:
            path.parent.mkdir(exist_ok=True)
            write_json(path, history)
        except OSError as error:
            raise UserError(
                f"{path}: not writable ({error.strerror}); DeepCAVE reads the run from there"
            ) from None
        self._written = self._state.finished
        return True
