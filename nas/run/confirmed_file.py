"""The content of ``confirmed.json``: the best configurations over several seeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from nas.util import records
from search_spaces.base import Config

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmedConfig(records.Document):
    """One configuration, trained with several seeds.

    Attributes:
        config_id: Hash of the configuration.
        config: The configuration.
        baseline: Whether it is the base architecture.
        searched_trial: Its trial in the search, None for a baseline without one.
        searched_error: That trial's error, None without one.
        trials: Its trials in the confirmation, one per repeat; None where there is none.
        errors: Error of each repeat; None where it crashed or there is none.
        mean_error: Mean error over the compared repeats, as all figures below; None without any.
        sd_error: Standard deviation over seeds (n - 1), None for fewer than two.
        mean_gain: Mean error saved against the baseline with the same seed; None for the baseline or without
            any.
        sd_gain: Standard deviation of that gain; None in the same cases, or for fewer than two.
        params: Number of parameters, None before they are known.
        macs: Multiply-accumulates, None before they are known.
        crashes: Reasons of the crashes.
        costs: Its costs by name, None if the search has none.
        repeated_trials: Trials in ``trials.jsonl`` of the repeats that the search trained, one per repeat;
            None if it trained none.
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
        """Returns its repeats in ascending order of their validation error."""
        errors = [(error, repeat) for repeat, error in enumerate(self.errors, start=1) if error is not None]
        return [repeat for _, repeat in sorted(errors)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmedFile(records.Document):
    """The content of ``confirmed.json``.

    Attributes:
        format: Version of the file.
        epochs: Number of epochs of every training.
        top: Number of configurations to confirm, without the baseline.
        seeds: Number of repeats of each.
        compared: Repeats that all configurations have ended; means and deviations are over these.
        complete: Whether these are all repeats.
        winner: ``config_id`` with the lowest mean error among those without a crash; None before the first
            comparison.
        configurations: The configurations, the best first.
    """

    file_name: ClassVar[str] = "confirmed.json"

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
        """The winner's entry."""
        return next((row for row in self.configurations if row.config_id == self.winner), None)

    @property
    def baseline(self) -> ConfirmedConfig | None:
        """The base architecture's entry."""
        return next((row for row in self.configurations if row.baseline), None)
