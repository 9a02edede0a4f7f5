"""Which worker runs which trial; trials that share a GPU can cause each other to fail."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nas.execution.messages import DEVICE, TrialEnded

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from distributed import Future

    from nas.execution.messages import Report, TrialSpec


@dataclass(eq=False)
class Member:
    """A worker: ``joining`` until its data are loaded, then ``free`` or ``busy``, or ``refused``.

    ``surplus`` is a worker that gets no more trials, because its GPU now runs one at a time.

    Attributes:
        gpu: Name of its GPU, unique among all machines; "" on a CPU. Workers with the same name share it.
    """

    address: str
    identity: str
    status: str = "joining"
    shared: bool = True
    gpu: str = ""
    future: Future | None = None
    refusal: str = ""


@dataclass(eq=False)
class Job:
    """A trial between its submission and its end.

    Attributes:
        best: Number of epochs trained so far.
        alone: The fault (:mod:`nas.execution.messages`) after which it needs a GPU to itself, or "".
        suspected: Number of epochs trained when that fault happened.
    """

    spec: TrialSpec
    attempt: str = ""
    member: Member | None = None
    future: Future | None = None
    told: set[int] = field(default_factory=set)
    best: int = 0
    best_at_death: int = -1
    deaths: int = 0
    alone: str = ""
    suspected: int = 0

    def advance(self, epoch: int) -> None:
        """Records an epoch; a trial that, alone, gets past the epoch of the fault did not cause it."""
        self.told.add(epoch)
        self.best = max(self.best, epoch)
        if self.alone == DEVICE and self.best > self.suspected:
            self.alone = ""

    def lost_worker(self) -> int:
        """Records the death of its worker; returns the number of deaths since its last new epoch."""
        if self.best > self.best_at_death >= 0:
            self.deaths = 0
        self.deaths += 1
        self.best_at_death = self.best
        return self.deaths

    def suspect(self, fault: str) -> None:
        """Marks a trial that failed beside others, which may be the cause: it has to run again, alone."""
        self.alone, self.suspected = fault, self.best


def assignments(
    waiting: Iterable[Job], members: Collection[Member], running: Collection[Job]
) -> list[tuple[Job, Member]]:
    """Chooses which waiting trials begin now, and on which workers.

    A trial that has to run alone waits until a GPU is empty; until then, and while it runs, no other trial
    begins on that GPU. All other trials take the first free worker.

    Args:
        waiting: Trials in the order of their submission.
        members: All workers.
        running: Trials that have a worker.
    """
    load = dict.fromkeys((place(member) for member in members), 0)
    closed: set[str] = set()
    for job in running:
        if job.member is not None:
            load[place(job.member)] = load.get(place(job.member), 0) + 1
            if job.alone:
                closed.add(place(job.member))
    free = [member for member in members if member.status == "free"]
    found: list[tuple[Job, Member]] = []
    for job in waiting:
        there = [member for member in free if place(member) not in closed]
        if job.alone:
            # An idle GPU, else the one that will be idle soonest.
            ready = [place(m) for m in members if m.status in ("free", "busy") and place(m) not in closed]
            if not ready:
                continue
            chosen = min(ready, key=lambda name: load[name])
            closed.add(chosen)
            there = [member for member in there if place(member) == chosen and not load[chosen]]
        if there:
            free.remove(there[0])
            load[place(there[0])] += 1
            found.append((job, there[0]))
    return found


def place(member: Member) -> str:
    """Names what a worker shares with others: its GPU; without one, only itself."""
    return member.gpu or member.address


def thin_out(members: Collection[Member]) -> None:
    """Keeps one worker for each GPU; busy surplus workers finish their trials first."""
    taken: set[str] = set()
    for member in sorted(members, key=lambda one: one.status != "busy"):
        if member.status == "free" and place(member) in taken:
            member.status = "surplus"
        elif member.status in ("free", "busy"):
            taken.add(place(member))


def neighbours(member: Member, members: Iterable[Member]) -> list[Member]:
    """Lists the other workers on this worker's GPU."""
    return [other for other in members if other is not member and place(other) == place(member)]


def blameless(end: Report, job: Job, member: Member, members: Iterable[Member]) -> bool:
    """Whether another trial may have caused a trial's crash, so that it does not count as a crash yet."""
    return (
        isinstance(end, TrialEnded)
        and bool(end.fault)
        and not job.alone
        and bool(neighbours(member, members))
    )
