"""What to confirm and where: the flags of ``nas.confirm``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from nas.util import flag_help
from nas.util.errors import SettingError
from nas.util.quantities import parse_duration, parse_timeout


@dataclass(frozen=True)
class ConfirmSettings:
    """What to confirm, and how long it may take."""

    top: Annotated[
        int | None, flag_help.default("3; the whole front of a search with several objectives")
    ] = None
    """How many of the best configurations to train again, spread over the front if there are several
    objectives; the base architecture is always added."""
    seeds: int = 3
    """Seeds for each configuration; a later call with more continues from here."""
    budget: Annotated[str | None, flag_help.default("no limit")] = None
    """Time budget of all calls together, such as 90m or 12h; a later call with a longer one continues."""
    trial_timeout: str = "auto"
    """A training that takes longer is considered hung and stopped; auto: ten times the prediction."""

    def __post_init__(self) -> None:
        for field, value in (("top", self.top), ("seeds", self.seeds)):
            if value is not None and value < 1:
                raise SettingError(field, value, "must be at least 1")
        if self.budget is not None:
            parse_duration(self.budget, "budget")
        parse_timeout(self.trial_timeout, "trial_timeout")

    @property
    def seconds(self) -> float | None:
        """The budget in seconds, None for no limit."""
        return None if self.budget is None else parse_duration(self.budget, "budget")

    @property
    def timeout_seconds(self) -> float | None:
        """The trial timeout in seconds, None for auto."""
        return parse_timeout(self.trial_timeout, "trial_timeout")


@dataclass(frozen=True)
class ConfirmMachineSettings:
    """Where to train; by default where the search did."""

    device: Annotated[str | None, flag_help.default("the search's")] = None
    """auto, cpu, cuda or cuda:N."""
    threads: Annotated[int | None, flag_help.default("the search's")] = None
    """CPU threads per trial."""
    data_dir: Annotated[Path | None, flag_help.default("the search's")] = None
    """Where downloaded images are kept."""
    space: Annotated[str | None, flag_help.default("the search's")] = None
    """The search's --space again, needed only for a custom space: code that a run folder names is not run
    without it."""
