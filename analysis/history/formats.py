"""A run's history as a table, or as stock SMAC writes it."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nas.util.errors import UserError, setting

if TYPE_CHECKING:
    from collections.abc import Iterator

    from analysis.frames import Run


SMAC_STATUS = {"success": 1, "crashed": 2}
_CRASH_COST = 1.0  # the worst error; SMAC's readers need a number


def write_table(run: Run, out: Path, form: Literal["csv", "parquet"]) -> None:
    """Writes the trials as a table, one row each.

    Raises:
        UserError: If the file cannot be written.
    """
    with _writing(out):
        if form == "csv":
            run.trials.to_csv(out, index=False)
        else:
            run.trials.to_parquet(out, index=False)


def write_smac(run: Run, out: Path) -> None:
    """Writes finished trials in the layout of SMAC 2: scenario, space and run history.

    Trials answered from the record are left out: SMAC would take them for repetitions.

    Raises:
        UserError: If the folder cannot be written.
    """
    files = {
        "scenario.json": _scenario(run, out),
        "configspace.json": json.loads((run.path / "configspace.json").read_bytes()),
        "runhistory.json": _runhistory(run),
    }
    for name, contents in files.items():
        with _writing(out / name):
            (out / name).write_text(json.dumps(contents, indent=2))


def _scenario(run: Run, out: Path) -> dict[str, Any]:
    return {
        "name": run.name,
        "deterministic": True,
        "objectives": "error",
        "crash_cost": _CRASH_COST,
        "min_budget": min(run.rungs),
        "max_budget": max(run.rungs),
        "seed": run.search.settings.choice.seed,
        "n_workers": 1,
        # Scenario.load asks for both.
        "output_directory": str(out),
        "_meta": {},
    }


def _runhistory(run: Run) -> dict[str, Any]:
    trials = run.trials[run.trials["status"].isin(SMAC_STATUS) & ~run.trials["cached"]]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(trials["config_id"]), start=1)}
    first = trials.drop_duplicates("config_id")
    seed = run.search.settings.choice.seed
    return {
        "stats": {"submitted": len(trials), "finished": len(trials), "running": 0},
        "data": [_entry(row, numbers[row["config_id"]], seed) for _, row in trials.iterrows()],
        "configs": {str(numbers[row["config_id"]]): run.config(row["trial"]) for _, row in first.iterrows()},
        "config_origins": {str(numbers[row["config_id"]]): row["origin"] for _, row in first.iterrows()},
    }


def _entry(row: Any, number: int, seed: int) -> dict[str, Any]:
    # Readers go by the order of the keys.
    return {
        "config_id": number,
        "instance": None,
        "seed": seed + int(row["replicate"]),
        "budget": float(row["epochs"]),
        "cost": row["error"] if row["status"] == "success" else _CRASH_COST,
        "time": row["seconds"],
        "cpu_time": 0.0,
        "status": SMAC_STATUS[row["status"]],
        "starttime": row["started"].timestamp(),
        "endtime": row["ended"].timestamp(),
        "additional_info": {"trial": row["trial"], **({"reason": row["reason"]} if row["reason"] else {})},
    }


@contextlib.contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise UserError(
            f"{out}: cannot be written ({error.strerror}); choose another with {setting('out')}"
        ) from None
