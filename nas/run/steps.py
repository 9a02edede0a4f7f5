"""The steps that follow a search in the same command, and the time of its budget reserved for them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.util.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nas.run.state import SearchState

CONFIRM, REPORT, EXPORT = "confirm", "report", "export"
TOP, SEEDS = 3, 3  # defaults of a confirmation: number of the best configurations, and of seeds

_MOST = 0.25  # largest share of the budget to reserve, since good networks have to be found first
_SAFETY = 1.2  # times the base architecture's time, since winners often cost more
_RULE = "must be confirm, confirm:SEEDS, report or export:SIZE, each once and in the order they are to run"


@dataclass(frozen=True)
class Step:
    """A step after a search.

    Attributes:
        name: ``confirm``, ``report`` or ``export``.
        argument: Number of seeds, or size; "" for the default.
    """

    name: str
    argument: str = ""

    def __str__(self) -> str:
        return f"{self.name}:{self.argument}" if self.argument else self.name

    @property
    def seeds(self) -> int:
        """Number of seeds of a confirmation."""
        return int(self.argument or SEEDS)


def parse(words: Sequence[str]) -> tuple[Step, ...]:
    """Parses steps as typed and as stored in ``search.json``.

    Args:
        words: Steps such as ``confirm``, ``report``, ``export:t``.

    Raises:
        UserError: If a word is not a step, or occurs twice.
    """
    steps = tuple(_step(word) for word in words)
    names = [step.name if step.name != EXPORT else str(step) for step in steps]
    for word, name in zip(words, names, strict=True):
        if names.count(name) > 1:
            raise SettingError("then", word, _RULE)
    return steps


def _step(word: str) -> Step:
    name, colon, argument = word.partition(":")
    fits = {
        CONFIRM: not colon or bool(re.fullmatch(r"[1-9]\d{0,2}", argument)),
        REPORT: not colon,
        EXPORT: not colon or bool(argument),
    }
    if not fits.get(name, False):
        raise SettingError("then", word, _RULE, repr(word))
    return Step(name, argument)


def trainings(steps: Sequence[Step]) -> int:
    """Returns the number of trainings of a confirmation, including those of the base architecture."""
    return sum((TOP + 1) * step.seeds for step in steps if step.name == CONFIRM)


def reserved_seconds(steps: Sequence[Step], budget: float, training: float | None) -> float:
    """Returns the seconds of a time budget that are reserved for the steps.

    Args:
        steps: The steps after the search.
        budget: The time budget, seconds.
        training: Time of one training to the highest rung, seconds; None while it is unknown.
    """
    return min(trainings(steps) * (training or 0.0) * _SAFETY, _MOST * budget)


def training_seconds(state: SearchState, epochs: int) -> float | None:
    """Returns the time of a training to the highest rung, from the base architecture's; None before it ended.

    Args:
        state: The search so far.
        epochs: Epochs of the highest rung.
    """
    for rung in sorted(state.baselines, reverse=True):
        trial = state.baseline(rung)
        if trial is not None and trial.curve:  # a promoted trial continued from the rung below
            return epochs * trial.seconds / len(trial.curve)
    return None
