"""The protocol every optimiser follows: ask for a trial, tell its outcome, replay the past."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Protocol

from nas.util import flag_help
from nas.util.errors import SettingError, setting

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from search_spaces.base import Config


AUTO = "auto"
_STEPS = 2  # default number of rungs below the highest


@dataclass(frozen=True)
class Fidelity:
    """How many epochs trials train for: the rungs of successive halving."""

    # SMAC's rungs are ``max * eta ** -k`` whatever the lower bound; unless max is exactly min * eta ** k with
    # integers, they would be fractions of epochs.

    min_epochs: Annotated[int, flag_help.or_word(AUTO)] = 5
    """Epochs of the lowest rung. auto: two rungs below --max-epochs, or as many as --eta allows. Rungs that
    turn out to tell too little of the highest are left out later (see --rungs)."""
    max_epochs: int = 45
    """Epochs of the highest rung; must be --min-epochs x --eta^k."""
    eta: int = 3
    """Each rung trains --eta times as many epochs as the one below, for the best 1 in --eta of its
    configurations."""

    def __post_init__(self) -> None:
        if str(self.min_epochs) == AUTO:
            object.__setattr__(self, "min_epochs", _usual(self.max_epochs, self.eta))
        if self.min_epochs < 1:
            raise SettingError("min_epochs", self.min_epochs, "must be at least 1")
        if self.eta < 2:
            raise SettingError("eta", self.eta, "must be at least 2")
        if self.max_epochs < self.min_epochs or self.rungs[-1] != self.max_epochs:
            near = sorted({self.rungs[-1], self.rungs[-1] * self.eta})
            given = f"{setting('min_epochs', self.min_epochs)} and {setting('eta', self.eta)}"
            raise SettingError(
                "max_epochs",
                self.max_epochs,
                f"must be {setting('min_epochs')} x {setting('eta')}^k; with {given} the nearest are "
                f"{' and '.join(map(str, near))}",
            )

    @property
    def rungs(self) -> tuple[int, ...]:
        """Epochs of every rung, in ascending order."""
        rungs = [self.min_epochs]
        while rungs[-1] * self.eta <= self.max_epochs:
            rungs.append(rungs[-1] * self.eta)
        return tuple(rungs)


def _usual(max_epochs: int, eta: int) -> int:
    """Returns the epochs of the lowest of at most three rungs."""
    steps = range(_STEPS, 0, -1) if eta > 1 else ()
    whole = (max_epochs // eta**step for step in steps if max_epochs % eta**step == 0)
    return next(whole, max_epochs)


@dataclass(frozen=True)
class Suggestion:
    """A trial that an optimiser proposes: a configuration trained to a total of ``epochs`` epochs."""

    config: Config
    epochs: int
    origin: str


@dataclass(frozen=True)
class Outcome:
    """How a suggested trial ended.

    Attributes:
        error: ``1 - validation top-1`` in [0, 1]; None for a crashed trial.
        seconds: Wall time of the trial, seconds.
        started: Start, seconds since the epoch (UTC).
        ended: End, seconds since the epoch (UTC).
        metrics: Further metrics (loss, top5, params, macs, ...), finite numbers only.
        reason: Why the trial crashed, else "".
        blameless: A crash that any configuration would have suffered, as from a device that is gone.
        curve: Errors of the same training after fewer epochs, by epochs, as far as they are known.
    """

    error: float | None
    seconds: float
    started: float = 0.0
    ended: float = 0.0
    metrics: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""
    blameless: bool = False
    curve: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Earlier:
    """The error of a configuration in an earlier search, possibly on other data."""

    config: Config
    error: float


class Optimizer(Protocol):
    """Proposes trials and learns from their outcomes.

    Contract (checked by ``tests/optimizers/test_conformance.py`` for every registered optimiser):

    * What ``ask`` returns depends on the constructor's arguments and the order of earlier calls
      only. So a fresh object that has been fed the same calls, with ``replay`` in place of every
      ``ask``, proposes what the first would have proposed.
    * ``replay`` does not train a model: it is cheap.
    * A crashed outcome never raises and never stops the search.
    """

    def ask(self, *, speculative: bool = False) -> Suggestion | None:
        """Proposes the next trial, or None.

        Args:
            speculative: True when no device is free yet. The optimiser may answer None then, if a
                pending outcome is likely to change what it would propose. Otherwise None means that
                every configuration was trained to the highest rung, crashed, or is pending.
        """
        ...

    def replay(self, suggestion: Suggestion) -> None:
        """Repeats an earlier answer of ``ask`` without computing it again.

        Raises:
            UserError: If this optimiser could not have proposed it at this point.
        """
        ...

    def tell(self, suggestion: Suggestion, outcome: Outcome) -> None:
        """Reports the outcome of a trial that was asked or replayed."""
        ...

    def tell_repeat(self, config: Config, epochs: int, error: float) -> None:
        """Reports a training of a configuration with a further seed, which the optimiser did not ask for.

        Args:
            config: The configuration; it has succeeded before with these epochs.
            epochs: Epochs of the highest rung.
            error: Its error.
        """
        ...

    def lowest_rung(self) -> int:
        """Returns the epochs at which new configurations begin, by the results so far."""
        ...

    def promotable(self) -> set[str]:
        """Returns the config ids that may still be promoted, whose checkpoints are worth keeping."""
        ...

    def save(self, folder: Path) -> None:
        """Writes a snapshot for other tools to an empty folder; this program never reads it."""
        ...
