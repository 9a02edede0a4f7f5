"""How the optimiser chooses: the settings a user may change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from nas.util import flag_help
from nas.util.errors import SettingError

_FIRST, _FIRST_FULL = 9, 5  # before the model; fewer where each is a full training: docs/quality-settings.md

NO_PRIOR = "none"
MODEL = "gaussian-process"  # as the command line spells ``process``


@dataclass(frozen=True)
class OptimizerSettings:
    """How SMAC chooses configurations and allocates epochs to them."""

    brackets: Literal["halving", "hyperband"] = "halving"
    """halving: every configuration starts at the lowest rung; hyperband: some start at a higher one."""
    rungs: Literal["learnt", "all"] = "learnt"
    """learnt: where results show that a low rung tells too little of the highest for its price,
    configurations begin higher, until results show otherwise (not with --optimizer hyperband, nor with
    --random-probability 1: there is no model; --brackets hyperband has one); all: what --brackets says."""
    ask_ahead: Literal["low", "always"] = "low"
    """Whether the next configuration is chosen, and prepared, while a trial runs. low: only while that trial
    is below the highest rung; after one at the highest, its result is awaited first. always: whatever runs.
    Where several trials run at a time, none is awaited."""
    model: Annotated[
        Literal["process", "forest"],
        flag_help.choices("gaussian-process", "forest", process="gaussian-process"),
    ] = "process"  # as run folders hold it
    """Model that predicts the errors: a Gaussian process over the choices, or SMAC's random forest."""
    initial_configs: Annotated[int | None, flag_help.default("9; 5 if there is only one rung")] = None
    """Configurations tried before the model is used: the default, the named points, then random ones."""
    random_probability: float = 0.1
    """Share of later configurations that are drawn at random."""
    min_trials: Annotated[int | None, flag_help.default("9; 5 if there is only one rung")] = None
    """Number of successful trials, at any rung, before the model is used."""
    prior: str = NO_PRIOR
    """Choices you expect to be good, such as bottleneck=true,norm=batch:2; ranges of numbers and ordered
    choices as FIRST..LAST, such as kernel_mid=5..7. The number after a colon says how many times as likely as
    the others (5 without one); the influence shrinks with every trial."""

    def __post_init__(self) -> None:
        if self.brackets not in ("halving", "hyperband"):
            raise SettingError("brackets", self.brackets, "must be halving or hyperband")
        if self.rungs not in ("learnt", "all"):
            raise SettingError("rungs", self.rungs, "must be learnt or all")
        if self.ask_ahead not in ("low", "always"):
            raise SettingError("ask_ahead", self.ask_ahead, "must be low or always")
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
