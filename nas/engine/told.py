"""A trial of the journal as the optimiser knows it: what it suggested, and what it is told."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nas.engine.clock import from_iso
from nas.optimizers.base import Outcome, Suggestion

if TYPE_CHECKING:
    from nas.engine.state import Trial


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
        metrics=trial.metrics,
        reason=trial.reason,
    )


def gist(reason: str) -> str:
    """A crash reason without its numbers, so that addresses and sizes do not tell errors apart."""
    return re.sub(r"0x[0-9a-f]+|\d+", "#", reason)
