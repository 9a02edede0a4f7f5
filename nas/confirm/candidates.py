"""Chooses what is trained again: the best configurations of a search, and always the base architecture."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nas.run.commands import space_flag
from nas.run.incumbent import ranked
from nas.run.objectives import costs_of
from nas.util.commands import typed
from nas.util.errors import UserError
from nas.util.quantities import counted
from search_spaces.base import config_id

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from nas.run.objectives import Objectives
    from nas.run.state import SearchState, Trial
    from search_spaces.base import Config


_TOP = 3


@dataclass(frozen=True)
class Candidate:
    """A configuration to train again.

    Attributes:
        config_id: Hash of the configuration.
        config: The configuration.
        trial: Number of its trial in the search, None for a baseline without one.
        error: Error of that trial, None without one.
        baseline: Whether it is the space's default.
        costs: Its costs by name, if the search has any.
    """

    config_id: str
    config: Config
    trial: int | None
    error: float | None
    baseline: bool = False
    costs: Mapping[str, float] = field(default_factory=dict)


def choose(
    state: SearchState,
    default: Config,
    epochs: int,
    top: int | None,
    path: Path,
    space: str = "",
    objectives: Objectives | None = None,
) -> list[Candidate]:
    """Chooses the best ``top`` configurations of the highest rung, the best first, then the space's default.

    The ranking is that of the search, which includes further seeds if it trained any.

    Args:
        state: The search so far.
        default: The space's default.
        epochs: The highest rung, since errors of different rungs cannot be compared.
        top: Number of configurations, without the default; None: three, or the whole front.
        path: The run folder, for messages.
        space: The search space as the user named it, for messages.
        objectives: Objectives of the search besides the error; with any, its front is confirmed.

    Raises:
        UserError: If no configuration but the default was trained to that rung.
    """
    base = config_id(default)
    found = [lead.trial for lead in ranked(state, epochs) if lead.trial.config_id != base]
    if objectives is not None:
        found = [trial for trial in found if objectives.fits(trial)]
    if not found:
        longer = typed("nas.search", "--resume", path, "--budget", "LONGER", *space_flag(space))
        raise UserError(
            f"{path}: nothing to confirm, no configuration but the baseline was trained for "
            f"{counted(epochs, 'epoch')}; search on with: {longer}"
        )
    chosen = found[: top or _TOP]
    if objectives is not None and objectives.costs:
        front = [trial for trial in objectives.front(state, epochs) if trial.config_id != base]
        chosen = _spread(front, top) or chosen
    best = [
        Candidate(trial.config_id, trial.config, trial.trial, trial.error, costs=costs_of(trial))
        for trial in chosen
    ]
    known = state.baseline(epochs)
    number, error = (None, None) if known is None else (known.trial, known.error)
    costs = {} if known is None else costs_of(known)
    return [*best, Candidate(base, default, number, error, baseline=True, costs=costs)]


def _spread(front: Sequence[Trial], top: int | None) -> list[Trial]:
    """Picks a number of networks evenly along a front, including its ends."""
    if top is None or len(front) <= top:
        return list(front)
    if top == 1:
        return [front[-1]]  # the most accurate one
    return [front[round(place * (len(front) - 1) / (top - 1))] for place in range(top)]
