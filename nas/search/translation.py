"""Translates trials of the journal to the optimiser's suggestions and outcomes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.optimizers.protocol import Outcome, Suggestion
from nas.run.causes import device_gone
from nas.run.objectives import costs_of
from nas.run.rungs import below
from nas.util.timestamps import from_iso

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nas.run.state import SearchState, Trial


def suggestion(trial: Trial) -> Suggestion:
    """Returns the suggestion behind a trial."""
    return Suggestion(trial.config, trial.epochs, trial.origin)


def outcome(trial: Trial, state: SearchState, rungs: Sequence[int]) -> Outcome:
    """Returns the outcome of a trial, with the errors of the same training at the rungs below."""
    ended = from_iso(trial.ended)
    return Outcome(
        error=trial.error,
        seconds=trial.seconds,
        started=ended - trial.seconds,
        ended=ended,
        metrics={**trial.metrics, **costs_of(trial)},
        reason=trial.reason,
        blameless=device_gone(trial.reason),
        curve={} if trial.error is None else below(state, trial, rungs),
    )
