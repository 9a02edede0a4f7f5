"""Who is trained again: the best configurations of a search, and always the base architecture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.run.commands import space_flag
from nas.run.incumbent import by_error_then_cost
from nas.util.commands import typed
from nas.util.errors import UserError
from search_spaces.base import config_id

if TYPE_CHECKING:
    from pathlib import Path

    from nas.run.state import SearchState
    from search_spaces.base import Config


@dataclass(frozen=True)
class Candidate:
    """A configuration to train again.

    Attributes:
        config_id: Its hash.
        config: It.
        trial: Number of its trial in the search, None for a baseline without one.
        error: What that trial gave, None without one.
        baseline: Whether it is the space's default.
    """

    config_id: str
    config: Config
    trial: int | None
    error: float | None
    baseline: bool = False


def choose(
    state: SearchState, default: Config, epochs: int, top: int, path: Path, space: str = ""
) -> list[Candidate]:
    """The best ``top`` configurations at a budget, the best first, and then the space's default.

    Args:
        state: The search so far.
        default: The space's default.
        epochs: The highest rung: errors of different rungs do not compare.
        top: How many, the default not counted.
        path: The run folder, for messages.
        space: The search space as the user named it, for messages.

    Raises:
        UserError: If no configuration but the default was trained to that budget.
    """
    base = config_id(default)
    found = [
        trial
        for trial in state.trials.values()
        if trial.error is not None and not trial.cached and trial.epochs == epochs and trial.config_id != base
    ]
    if not found:
        longer = typed("nas.search", "--resume", path, "--budget", "LONGER", *space_flag(space))
        raise UserError(
            f"{path}: nothing to confirm, no configuration but the baseline was trained for all {epochs} "
            f"epochs; search on with: {longer}"
        )
    found.sort(key=lambda trial: (*by_error_then_cost(trial), trial.trial))
    best = [Candidate(trial.config_id, trial.config, trial.trial, trial.error) for trial in found[:top]]
    known = state.baseline(epochs)
    number, error = (None, None) if known is None else (known.trial, known.error)
    return [*best, Candidate(base, default, number, error, baseline=True)]
