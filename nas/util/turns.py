"""Times passes of several networks in turns, as many as the time for each allows."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from nas.util.quantities import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LEAST = 2  # timed passes, however long they take, since a deviation needs them
_WARM_UP_SHARE = 0.25  # of the available time; a first pass may compile kernels for seconds
_SPEAK_EVERY = 5.0  # seconds


class TimedNetwork(Protocol):
    """A network that can be timed."""

    @property
    def name(self) -> str:
        """For people."""
        ...

    def seconds(self, batch_size: int) -> float:
        """Returns the wall time of one forward pass of a batch, seconds."""
        ...


@dataclass
class TimedPasses:
    """One network's passes of one kind.

    Attributes:
        subject: The network.
        limit: Seconds that its passes may take, including warm-ups.
        spent: Seconds that they have taken.
        timed: Seconds of each timed pass.
        wanted: Number of passes to time.
    """

    subject: TimedNetwork
    limit: float
    wanted: int
    spent: float = 0.0
    timed: list[float] = field(default_factory=list)

    def warm_up(self, batch_size: int, passes: int) -> None:
        """Runs a few passes untimed, and estimates from the last how many will fit."""
        last = 0.0
        for done in range(passes):
            enough = self.limit if done == 1 else _WARM_UP_SHARE * self.limit
            if done and self.spent > enough:  # with a second one if it fits, since the first is not typical
                break
            last = self.subject.seconds(batch_size)
            self.spent += last
        if last:
            fit = int(max(self.limit - self.spent, 0.0) / last)
            self.wanted = max(min(self.wanted, fit), LEAST)

    def run(self, batch_size: int) -> None:
        """Times a pass, unless the time is up."""
        typical = self.timed[-1] if self.timed else 0.0
        if len(self.timed) >= LEAST and self.spent + typical > self.limit:
            return
        self.timed.append(self.subject.seconds(batch_size))
        self.spent += self.timed[-1]

    def due(self, turn: int, turns: int) -> bool:
        """Whether it makes a pass in this turn; few passes are spread evenly over all turns."""
        return (turn + 1) * self.wanted // turns > turn * self.wanted // turns


def in_turns(
    subjects: Sequence[TimedNetwork],
    batch_size: int,
    limits: Sequence[float],
    *,
    warm_up: int,
    repeats: int,
    what: str,
    note: Callable[[str], object] = lambda _: None,
) -> list[list[float]]:
    """Times networks in turns, so that other load on the machine affects all of them alike.

    Args:
        subjects: The networks.
        batch_size: Images per pass.
        limits: Total seconds that each network's passes may take. Beyond them only the necessary passes are
            made: one to warm up, two timed.
        warm_up: Most passes before timing.
        repeats: Most timed passes.
        what: What is measured, for the notes.
        note: Called with one line on what is being done.

    Returns:
        The seconds of every timed pass, by network.
    """
    lanes = [TimedPasses(subject, limit, repeats) for subject, limit in zip(subjects, limits, strict=True)]
    for lane in lanes if warm_up else ():
        note(f"{lane.subject.name}: {what}, warming up")
        lane.warm_up(batch_size, warm_up)
    turns = max(lane.wanted for lane in lanes)
    note(f"{what}: {counted(turns, 'turn')}")
    spoke = time.monotonic()
    for turn in range(turns):
        for lane in lanes:
            if lane.due(turn, turns):
                lane.run(batch_size)
        if time.monotonic() - spoke > _SPEAK_EVERY:
            note(f"{what}: {turn + 1} of {turns} turns")
            spoke = time.monotonic()
    return [lane.timed for lane in lanes]
