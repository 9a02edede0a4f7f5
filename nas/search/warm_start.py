"""Warm starts: results of an earlier run that a search's model begins with."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import orjson

from nas.optimizers import registry
from nas.optimizers.protocol import Earlier
from nas.run.folder import Run
from nas.run.state import SearchState
from nas.util.errors import SettingError, UserError, setting

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from search_spaces.base import SearchSpace


def gather(path: Path, space: SearchSpace) -> dict[str, Any]:
    """Reads every configuration of an earlier run with its expected error.

    Most of them were trained for a few epochs only; the earlier run's model extrapolates their errors to that
    run's highest rung.

    Args:
        path: The earlier run.
        space: The search space of the new run.

    Raises:
        UserError: If it is not a run, searched another space or has no successful trial.
    """
    try:
        run = Run.open(path)
    except UserError as error:
        raise UserError(setting("warm_start", error.given)) from None
    search = run.read_search()
    if search.space.fingerprint != space.fingerprint:
        name = search.space.name
        raise SettingError(
            "warm_start", path, f"searched {name}; must have searched {space.name} as it is now"
        )
    results = expected(SearchState.of(run.read_journal().events), search.rungs, space)
    if not results:
        raise SettingError("warm_start", path, "has no successful trial to begin with")
    return {
        "run": run.name,
        "data": search.data.name,
        "results": [{"config": one.config, "error": one.error} for one in results],
    }


def expected(state: SearchState, rungs: Sequence[int], space: SearchSpace) -> list[Earlier]:
    """Returns every successful configuration with its expected error at the highest rung.

    Raises:
        UserError: If a configuration is not in the space.
    """
    results = [
        (trial.config, trial.epochs, trial.error)
        for trial in state.trials.values()
        if trial.error is not None and trial.epochs in rungs
    ]
    return registry.expected(space, rungs, results)


def read(path: Path) -> list[Earlier]:
    """Reads the file of :func:`gather` in a run's folder; returns nothing if there is none.

    Raises:
        UserError: If it is damaged.
    """
    if not path.exists():
        return []
    try:
        found = [
            Earlier(dict(row["config"]), float(row["error"]))
            for row in orjson.loads(path.read_bytes())["results"]
        ]
        if not all(math.isfinite(one.error) for one in found):
            raise ValueError("an error is not finite")
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not readable ({error})") from None
    return found
