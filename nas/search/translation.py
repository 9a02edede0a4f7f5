"""A trial of the journal in the optimiser's terms: its suggestion and its outcome."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.optimizers.protocol import Outcome, Suggestion
from nas.run.causes import device_gone
from nas.run.objectives import costs_of
from nas.util.timestamps import from_iso

if TYPE_CHECKING:
    from nas.run.state import Trial


def suggestion(trial: Trial) -> Suggestion:
    """What the optimiser asked for."""
    return Suggestion(trial.config, trial.epochs, trial.origin)


def outcome(trial: Trial) -> Outcome:
    """How it ended."""
    ended = from_iso(trial.ended)
    return Outcome(
        error=trial.error,
        seconds=trial.seconds,
        started=ended - trial.seconds,
        ended=ended,
        metrics={**trial.metrics, **costs_of(trial)},
        reason=trial.reason,
        blameless=device_gone(trial.reason),
    )
