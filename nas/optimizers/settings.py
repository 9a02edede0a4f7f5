"""How the optimiser chooses: the settings a user may change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nas.util.errors import SettingError

_FIRST, _FIRST_FULL = 9, 5  # trials before the model; fewer where each is a full training: docs/quality.md

NO_PRIOR = "none"


@dataclass(frozen=True)
class OptimizerSettings:
    """How SMAC chooses configurations and shares epochs among them."""

    brackets: Literal["halving", "hyperband"] = "halving"
    """halving: every configuration starts at the lowest rung; hyperband: some start higher."""
    model: Literal["process", "forest"] = "process"
    """What foresees errors: process, a Gaussian process over choices; forest, SMAC's random forest."""
    initial_configs: int | None = None
    """Configurations tried before the model is asked: the default, the named points, then random ones (9;
    5 if every trial has the full budget)."""
    random_probability: float = 0.1
    """Share of later configurations that are drawn at random."""
    min_trials: int | None = None
    """The model is asked once so many trials have succeeded, at any rung (as many as --initial-configs
    would be)."""
    prior: str = NO_PRIOR
    """What you believe to be good, and how many times as likely as another choice (5):
    bottleneck=true,norm=batch:2. It counts less with every trial."""

    def __post_init__(self) -> None:
        if self.brackets not in ("halving", "hyperband"):
            raise SettingError("brackets", self.brackets, "must be halving or hyperband")
        if self.model not in ("process", "forest"):
            raise SettingError("model", self.model, "must be process or forest")
        if self.initial_configs is not None and self.initial_configs < 0:
            raise SettingError("initial_configs", self.initial_configs, "must be at least 0")
        if not 0 <= self.random_probability <= 1:
            rule = "must lie between 0 and 1, for example 0.1"
            raise SettingError("random_probability", self.random_probability, rule)
        if not isinstance(self.prior, str):  # a damaged search.json
            raise SettingError("prior", self.prior, "must be text, for example se=true")
        if self.min_trials is not None and self.min_trials < 2:
            raise SettingError("min_trials", self.min_trials, "must be at least 2")

    def first(self, rungs: int) -> tuple[int, int]:
        """What goes before the model: initial configurations, and trials that must have succeeded.

        Args:
            rungs: How many rungs there are.
        """
        usual = _FIRST if rungs > 1 else _FIRST_FULL
        initial, least = self.initial_configs, self.min_trials
        return usual if initial is None else initial, usual if least is None else least
