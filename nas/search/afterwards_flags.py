"""The flags for what follows a search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from nas.run.steps import parse
from nas.util import flag_help
from nas.util.errors import SettingError
from nas.util.quantities import parse_duration

if TYPE_CHECKING:
    from nas.run.steps import Step


@dataclass(frozen=True)
class AfterwardsFlags:
    """What follows the search, and notifications."""

    then: Annotated[tuple[str, ...], flag_help.default("nothing")] = ()
    """What follows the search in the same command, in this order: confirm or confirm:SEEDS (the best three
    are trained again, within the budget), report, export:SIZE into models/NAME. --resume continues them."""
    notify: Annotated[str | None, flag_help.default("nobody")] = None
    """A shell command to run at the end and when trials keep crashing, with SMACNAS_EVENT (end, crashes,
    no_improvement), SMACNAS_RUN and SMACNAS_MESSAGE in its environment; to be given again with --resume."""
    notify_after: Annotated[str | None, flag_help.default("never")] = None
    """Also run it whenever nothing has improved for this long, such as 12h."""

    def __post_init__(self) -> None:
        parse(self.then)
        if self.notify_after is not None:
            parse_duration(self.notify_after, "notify_after")
            if self.notify is None:
                raise SettingError("notify_after", self.notify_after, "needs a command to run, notify")

    @property
    def steps(self) -> tuple[Step, ...]:
        """What follows."""
        return parse(self.then)

    @property
    def notify_seconds(self) -> float | None:
        """Seconds without an improvement, None for never."""
        return None if self.notify_after is None else parse_duration(self.notify_after, "notify_after")
