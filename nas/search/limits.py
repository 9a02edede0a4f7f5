"""When a search stops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from nas.run.state import SearchState


@dataclass(frozen=True)
class Limits:
    """When the loop stops.

    Attributes:
        seconds: Time budget of the whole run, seconds.
        trials: Maximum number of finished trials of the whole run, None for no limit.
        trial_timeout: Seconds after which a trial counts as hung, None to predict them.
        reserved: Returns the seconds reserved for what follows the search, from the state so far.
    """

    seconds: float
    trials: int | None = None
    trial_timeout: float | None = None
    reserved: Callable[[SearchState], float] = lambda _: 0.0
