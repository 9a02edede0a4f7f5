"""What follows a search in the same command, and the time of its budget that is kept for it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.util.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nas.run.state import SearchState

CONFIRM, REPORT, EXPORT = "confirm", "report", "export"
TOP, SEEDS = 3, 3  # what a confirmation trains: how many of the best, and with how many seeds

_MOST = 0.25  # the largest share of the budget to reserve: what is confirmed has to be found first
_SAFETY = 1.2  # times the base architecture's time; networks that win often cost more
_RULE = "must be confirm, confirm:SEEDS, report or export:SIZE, each once and in the order they are to run"


@dataclass(frozen=True)
class Step:
    """One of the things that follow.

    Attributes:
        name: ``confirm``, ``report`` or ``export``.
        argument: Seeds or size, "" for the usual.
    """

    name: str
    argument: str = ""

    def __str__(self) -> str:
        return f"{self.name}:{self.argument}" if self.argument else self.name

    @property
    def seeds(self) -> int:
        """Seeds of a confirmation."""
        return int(self.argument or SEEDS)


def parse(words: Sequence[str]) -> tuple[Step, ...]:
    """Reads steps as they are typed and as ``search.json`` holds them.

    Args:
        words: Such as ``confirm``, ``report``, ``export:t``.

    Raises:
        UserError: If a word is not a step, or is there twice.
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
    """How many networks the steps train: those of the confirmation, the base architecture's among them."""
    return sum((TOP + 1) * step.seeds for step in steps if step.name == CONFIRM)


def kept(steps: Sequence[Step], budget: float, training: float | None) -> float:
    """Seconds of a budget that the search leaves to what follows.

    Args:
        steps: What follows.
        budget: Seconds of all.
        training: Seconds of one training at the highest budget, None as long as nothing is known.
    """
    return min(trainings(steps) * (training or 0.0) * _SAFETY, _MOST * budget)


def training_seconds(state: SearchState, epochs: int) -> float | None:
    """Seconds that a training takes at the highest rung, by the base architecture's; None if none ended yet.

    Args:
        state: The search so far.
        epochs: Of the highest rung.
    """
    for rung in sorted(state.baselines, reverse=True):
        trial = state.baseline(rung)
        if trial is not None and trial.curve:  # a promoted one went on from the rung below
            return epochs * trial.seconds / len(trial.curve)
    return None
