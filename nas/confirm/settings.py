"""What to confirm and where: the flags of ``nas.confirm``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nas.util.errors import SettingError
from nas.util.quantities import parse_duration, parse_timeout


@dataclass(frozen=True)
class Wish:
    """What to confirm, and how long it may take."""

    top: int = 3
    """Train so many of the best configurations again; the base architecture always joins them."""
    seeds: int = 3
    """Seeds of each; a later call with more goes on from here."""
    budget: str | None = None
    """Time for all calls together: 90m, 12h. Stops in time, and a longer one continues (no limit)."""
    trial_timeout: str = "auto"
    """A longer training counts as hanging and is ended; auto: ten times what is predicted."""

    def __post_init__(self) -> None:
        for field, value in (("top", self.top), ("seeds", self.seeds)):
            if value < 1:
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
class Place:
    """Where to train, if not as the search did."""

    device: str | None = None
    """auto, cpu, cuda or cuda:N (the search's)."""
    threads: int | None = None
    """CPU threads of a trial (the search's)."""
    data_dir: Path | None = None
    """Where downloaded images are kept (the search's)."""
    space: str | None = None
    """The search's --space once more, if that is a module of your own: no run folder runs code unasked."""
