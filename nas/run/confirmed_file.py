"""What ``confirmed.json`` holds: the best configurations over several seeds."""

from __future__ import annotations

from dataclasses import dataclass

from nas.util import records
from search_spaces.base import Config

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmedConfig(records.Document):
    """One configuration, trained with several seeds.

    Attributes:
        config_id: Its hash.
        config: The configuration.
        baseline: Whether it is the base architecture.
        searched_trial: Its trial in the search, None for a baseline without one.
        searched_error: That trial's error, None without one.
        trials: Of the confirmation, one a repeat; None where there is none.
        errors: As ``trials``; None where one crashed or there is none.
        mean_error: Over the compared repeats, as all below; None without any.
        sd_error: Standard deviation over seeds (n - 1), None for fewer than two.
        mean_gain: Error taken off the baseline's with the same seed, None for the baseline or without any.
        sd_gain: Its standard deviation, None likewise, or for fewer than two.
        params: Parameters, None before they are known.
        macs: Multiply-accumulates, None likewise.
        crashes: Reasons of those that crashed.
        costs: Its costs by name, None unless the search weighs some.
        repeated_trials: As ``trials``, of repeats that the search trained: in ``trials.jsonl``; None if it
            trained none.
    """

    config_id: str
    config: Config
    baseline: bool
    searched_trial: int | None
    searched_error: float | None
    trials: list[int | None]
    errors: list[float | None]
    mean_error: float | None
    sd_error: float | None
    mean_gain: float | None
    sd_gain: float | None
    params: float | None
    macs: float | None
    crashes: list[str]
    costs: dict[str, float] | None = None
    repeated_trials: list[int | None] | None = None

    @property
    def best_repeats(self) -> list[int]:
        """Its repeats by their error on the validation part, the best first."""
        errors = [(error, repeat) for repeat, error in enumerate(self.errors, start=1) if error is not None]
        return [repeat for _, repeat in sorted(errors)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmedFile(records.Document):
    """What ``confirmed.json`` holds.

    Attributes:
        format: Version of the file.
        epochs: Budget of every training.
        top: Configurations asked for, the baseline not counted.
        seeds: Repeats asked for.
        compared: Repeats that all configurations have ended; means and deviations are over these.
        complete: Whether these are all.
        winner: ``config_id`` of the lowest mean error among those without a crash, None before the first
            comparison.
        configurations: The best first.
    """

    format: int
    epochs: int
    top: int
    seeds: int
    compared: list[int]
    complete: bool
    winner: str | None
    configurations: list[ConfirmedConfig]

    @property
    def best(self) -> ConfirmedConfig | None:
        """The winner's row."""
        return next((row for row in self.configurations if row.config_id == self.winner), None)

    @property
    def baseline(self) -> ConfirmedConfig | None:
        """The base architecture's row."""
        return next((row for row in self.configurations if row.baseline), None)
