"""A trial of the journal as the optimiser knows it: its suggestion, and the outcome it gets."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from nas.optimizers.protocol import Outcome, Suggestion
from nas.run.objectives import costs_of
from nas.util.timestamps import from_iso

if TYPE_CHECKING:
    from nas.run.state import Trial

_FROM_OUTSIDE = re.compile(
    r"ended by SIG(KILL|TERM|HUP|INT|QUIT|USR1|USR2|XCPU|BUS|PWR|IO|STKFLT|ALRM)\b"
    r"|^no end after|workers died while they ran it|does not answer"
    # What CUDA, ROCm and their drivers say of a device that is gone, reset or another's.
    r"|no CUDA-capable device|no CUDA GPUs are available|device\(s\) is/are busy|GPU is lost"
    r"|fallen off the bus|uncorrectable ECC|driver shutting down|unspecified launch failure"
    r"|CUDA driver initialization failed|system not yet initialized|hipErrorNoDevice|NVLink error",
    re.IGNORECASE,
)


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
    )


def from_outside(reason: str) -> bool:
    """Whether a crash says nothing about the network: a kill, a machine that stood still, a lost device.

    Told by its words, since that is all that journals of earlier versions have. A hang is among them: it
    may have been a suspended machine, which those versions did not notice.
    """
    return _FROM_OUTSIDE.search(reason) is not None


def gist(reason: str) -> str:
    """A crash reason without its numbers, so that addresses and sizes do not tell errors apart."""
    return re.sub(r"0x[0-9a-f]+|\d+", "#", reason)
