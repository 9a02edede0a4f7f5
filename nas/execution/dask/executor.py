"""Runs trials on Dask workers, one at a time on each, and survives the loss of workers and scheduler."""

from __future__ import annotations

import contextlib
import queue
import secrets
import socket
import time
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from distributed.scheduler import KilledWorker

from nas import __version__
from nas.execution.dask import worker
from nas.execution.dask.connection import SchedulerConnection
from nas.execution.dask.jobs import Job, Member, assignments, blameless, neighbours, thin_out
from nas.execution.dask.messages import Outcome, Ready, Task, TrialAbandoned, WorkerSetup, difference
from nas.execution.dask.stores import Stores
from nas.execution.local import LocalExecutor
from nas.execution.messages import DEVICE, EpochDone, Note, TrialEnded, TrialPaused
from nas.util.errors import UserError, first_line
from nas.util.quantities import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from distributed import Future

    from nas.execution.dask.clusters import Cluster
    from nas.execution.messages import Facts, Measurement, Report, TrialSpec
    from nas.execution.settings import WorkerSettings
    from search_spaces.base import Config

T = TypeVar("T")

_LOOK = 1.0  # seconds between checks of which workers are there
_PATIENCE = 10.0  # seconds without a worker before a message says what the search waits for
_RETRY = 2.0  # seconds between attempts to reach a scheduler that is gone
_HELLO = 30.0  # seconds between heartbeats to the workers
_DEATHS = 3  # worker deaths after which a trial counts as crashed


class DaskExecutor:
    """Implements :class:`nas.execution.protocol.Executor` on the workers of a Dask scheduler.

    This object chooses the worker of every trial, so that Dask neither moves a trial nor runs it twice.
    It also decides what follows when a worker dies:

    * A trial whose worker died runs again, on another worker, from its last checkpoint. After three
      deaths with no new epoch between them it is a crash.
    * While the scheduler is gone, trials wait; when one is back at its address, they run again.
    * Workers that join later get trials as soon as their data are loaded and found to be the same.
    """

    def __init__(self, cluster: Cluster, settings: WorkerSettings, say: Callable[[str], None]) -> None:
        """Prepares without connecting; :meth:`start` connects.

        Args:
            cluster: Where scheduler and workers come from.
            settings: Settings of the trial processes.
            say: Called with one line for each thing that happens before :meth:`poll` can report it.
        """
        self._cluster = cluster
        self._settings = settings.resolved()
        self._stores = Stores(self._settings)
        folder = self._settings.checkpoints
        above = next(parent for parent in folder.parents[1:] if parent.is_dir())  # a new run has no folder
        self._token_file = above / f".{folder.parent.name}.seen"
        self._token = secrets.token_hex(8)
        self._key = f"smacnas {socket.gethostname()}:{folder.parent}"
        self._say = say
        self._client = SchedulerConnection(cluster, self._key, lambda it: self._inbox.put(("said", it, None)))
        self._members: dict[str, Member] = {}
        self._jobs: dict[int, Job] = {}
        self._waiting: deque[Job] = deque()
        self._reports: list[Report] = []
        self._inbox: queue.SimpleQueue[tuple[str, Any, Any]] = queue.SimpleQueue()
        self._facts: Facts | None = None
        self._looked = self._greeted = 0.0
        self._attempts = 0
        self._pausing = self._apart = False  # apart: a worker was found that shares no folder

    @property
    def slots(self) -> int:
        """Number of workers that are ready, busy or not; it changes while the search runs."""
        return sum(member.status in ("free", "busy") for member in self._members.values())

    @property
    def wanted(self) -> int:
        """Number of workers expected, as far as is known now."""
        return max(self._cluster.workers, len(self._members))

    def start(self) -> Facts:
        """Connects to the scheduler and waits for the first worker; the others join while trials run.

        Raises:
            UserError: If the scheduler is not there, or no worker can load the data.
        """
        try:
            self._client.connect()
        except OSError as error:
            raise UserError(f"{self._cluster.name} does not answer ({error})") from None
        if self._cluster.warning:
            self._say(self._cluster.warning)
        told = False
        held: list[Report] = []  # for the log, which does not exist yet
        begun = time.monotonic()
        while self._facts is None:
            held += self.poll(_LOOK)
            members = self._members.values()
            if members and all(member.status == "refused" for member in members):
                raise UserError(next(iter(members)).refusal)
            if not told and not members and time.monotonic() - begun > _PATIENCE:
                self._say(f"waiting for {self._cluster.waits_for}; Ctrl-C gives up")
                told = True
        self._reports = held
        return self._facts

    def submit(self, spec: TrialSpec) -> None:
        """Starts a trial on a free worker, or as soon as a worker is free."""
        self._jobs[spec.trial] = job = Job(spec, best=spec.known_epochs)
        self._waiting.append(job)
        self._pausing = False
        self._assign()

    def prepare(self, spec: TrialSpec) -> None:
        """Does nothing: which worker will be free first cannot be known."""

    def poll(self, timeout: float) -> list[Report]:
        """Waits for reports, and keeps track of the workers meanwhile."""
        end = time.monotonic() + timeout
        while True:
            if time.monotonic() - self._looked > _LOOK:
                self._look()
            self._read(0.0 if self._reports else max(min(end, self._looked + _LOOK) - time.monotonic(), 0.0))
            self._assign()
            if self._reports or time.monotonic() >= end:
                reports, self._reports = self._reports, []
                return reports

    def pause(self) -> None:
        """Asks running trials to stop at their epoch's end; those without a worker have stopped."""
        self._pausing = True
        self._assign()
        busy = [address for address, member in self._members.items() if member.status == "busy"]
        attempts = frozenset(job.attempt for job in self._jobs.values())
        self._client.call(worker.tell, worker.TrialPlugin.pause, attempts, workers=busy)

    def measure(self, config: Config | str) -> Measurement:
        """Times a few steps of a configuration on one of the workers; see :meth:`LocalExecutor.measure`."""
        return self._answer(LocalExecutor.measure, config)

    def costs(self, config: Config) -> dict[str, float]:
        """Measures what trials measure of costs, on one of the workers; see :meth:`LocalExecutor.costs`."""
        return self._answer(LocalExecutor.costs, config)

    def _answer(self, what: Callable[[LocalExecutor, Any], T], config: Config | str) -> T:
        free = next(member for member in self._members.values() if member.status == "free")
        answer: T = self._client.task(free.address, worker.measure, what, config).result()
        return answer

    def close(self) -> None:
        """Leaves the workers and ends those that the cluster started; running trials are lost."""
        self._jobs.clear()
        self._waiting.clear()
        self._client.call(worker.leave, workers=list(self._members))
        self._forget()
        self._cluster.close()
        self._token_file.unlink(missing_ok=True)

    # The scheduler

    def _look(self) -> None:
        """Updates which workers there are."""
        self._looked = time.monotonic()
        try:
            if not self._client.connected:
                self._client.connect()
                self._note(f"{self._cluster.name} is back")
            there = self._client.workers()
        except OSError:
            self._scheduler_lost()
            return
        if said := self._cluster.refresh():
            self._note(said)
        for member in list(self._members.values()):
            if there.get(member.address) != member.identity:
                self._worker_lost(member)
        new = [Member(address, there[address]) for address in there if address not in self._members]
        if new:
            self._invite(new)
        if time.monotonic() - self._greeted > _HELLO:
            self._greeted = time.monotonic()
            self._client.call(worker.tell, worker.TrialPlugin.hear, workers=list(self._members))

    def _scheduler_lost(self) -> None:
        if self._client.connected:
            running = [job for job in self._jobs.values() if job.member is not None]
            self._note(
                f"{self._cluster.name} is gone: the search waits for it, and runs its "
                f"{counted(len(running), 'trial')} again from the checkpoints"
            )
            for job in running:
                self._again(job)
        self._forget()
        self._looked = time.monotonic() + _RETRY - _LOOK

    def _forget(self) -> None:
        for member in self._members.values():
            member.status = "gone"
        self._members.clear()
        self._client.disconnect()

    # Workers

    def _invite(self, members: list[Member]) -> None:
        with contextlib.suppress(OSError):  # then no worker sees it, and checkpoints are sent instead
            self._token_file.write_text(self._token)
        setup = WorkerSetup(self._settings, self._token_file, self._token, Path.cwd(), __version__)
        self._client.call(worker.leave, workers=[member.address for member in members])
        for member in members:
            self._members[member.address] = member
            self._call_back(member, self._client.task(member.address, worker.join, setup))

    def _call_back(self, member: Member, future: Future) -> None:
        member.future = future
        future.add_done_callback(lambda done: self._inbox.put(("done", member, done)))

    def _joined(self, member: Member, future: Future) -> None:
        member.future, member.status = None, "refused"
        if all(other.status != "joining" for other in self._members.values()):
            self._token_file.unlink(missing_ok=True)
        try:
            ready: Ready = future.result()
        except (TrialAbandoned, KilledWorker):
            self._members.pop(member.address, None)  # the next check invites it again
        except Exception as error:
            self._refuse(member, first_line(error))
        else:
            if odd := difference(self._facts, ready.facts):
                self._refuse(member, f"{odd} not what the search began with")
                return
            if self._facts is None:
                self._facts = ready.facts
            member.status, member.shared, member.gpu = "free", ready.shared, ready.gpu
            if not ready.shared and not self._apart:
                self._apart = True
                self._note(f"worker {member.address} sees no run folder: checkpoints travel through Dask")

    def _refuse(self, member: Member, reason: str) -> None:
        member.status, member.refusal = "refused", reason
        if self._facts is not None:
            self._note(f"worker {member.address} is left out: {reason}")

    def _worker_lost(self, member: Member) -> None:
        self._members.pop(member.address, None)
        member.status = "gone"
        for job in list(self._jobs.values()):
            if job.member is member:
                self._died(job, member.address)

    # Trials

    def _assign(self) -> None:
        while self._pausing and self._waiting:  # or whose workers received the search's signal, too
            trial = self._waiting.popleft().spec.trial
            del self._jobs[trial]
            self._reports.append(TrialPaused(trial))
        members = self._members.values()
        if self._cluster.one_each:
            thin_out(members)
        for job, member in assignments(self._waiting, members, self._jobs.values()):
            self._waiting.remove(job)
            checkpoint = None if member.shared else self._stores.packed(job.spec)
            self._attempts += 1
            job.attempt = f"{job.spec.trial}.{self._attempts}"
            job.member = member
            member.status = "busy"
            # Only the search knows every running trial, so only the search may delete checkpoints.
            alone = bool(job.alone) or not neighbours(member, members)
            task = Task(replace(job.spec, keep={}, alone=alone), job.attempt, checkpoint)
            job.future = self._client.task(member.address, worker.run, task)
            self._call_back(member, job.future)

    def _read(self, timeout: float) -> None:
        """Handles what the workers sent, after waiting for the first message."""
        try:
            kind, what, future = self._inbox.get(timeout=timeout)
            while True:
                if kind == "said":
                    self._said(what)
                elif what.status != "gone" and what.future is future:
                    self._done(what, future)
                kind, what, future = self._inbox.get_nowait()
        except queue.Empty:
            pass

    def _said(self, event: dict[str, Any]) -> None:
        kind, fields = event["kind"], event["fields"]
        job = next((job for job in self._jobs.values() if job.attempt == event["attempt"]), None)
        if job is None:
            return
        if kind == Note.__name__:
            self._note(fields["text"])
        elif kind == EpochDone.__name__:
            self._epoch(job, EpochDone(**fields))

    def _epoch(self, job: Job, report: EpochDone) -> None:
        """Reports an epoch once, although it arrives up to three times.

        It is announced while the trial runs, is part of the outcome, and is trained again after a death.
        """
        if report.epoch not in job.told and report.epoch > job.spec.known_epochs:
            job.advance(report.epoch)
            self._reports.append(report)

    def _done(self, member: Member, future: Future) -> None:
        if member.status == "joining":
            self._joined(member, future)
            return
        member.future = None
        job = next(job for job in self._jobs.values() if job.member is member)
        if future.status in ("cancelled", "lost"):
            self._scheduler_lost()
            return
        try:
            outcome: Outcome = future.result()
        except TrialAbandoned:
            self._members.pop(member.address, None)
            self._again(job)
        except KilledWorker:
            self._worker_lost(member)
        except Exception as error:
            self._refuse(member, first_line(error))
            self._died(job, member.address)
        else:
            member.status = "free"
            self._ended(job, member, outcome)
        future.release()

    def _ended(self, job: Job, member: Member, outcome: Outcome) -> None:
        for report in outcome.epochs:
            self._epoch(job, report)
        excused = blameless(outcome.end, job, member, self._members.values())
        if not excused:
            del self._jobs[job.spec.trial]
        try:
            self._stores.unpack(outcome)
            if job.spec.keep and not excused:
                self._stores.prune(job.spec, (other.spec.config_id for other in self._jobs.values()))
        except OSError as error:
            self._note(f"trial {job.spec.trial}: {error}")
        if excused:
            self._excuse(job, member, outcome.end)
        else:
            self._reports.append(outcome.end)

    def _excuse(self, job: Job, member: Member, end: TrialEnded | TrialPaused) -> None:
        assert isinstance(end, TrialEnded)
        if end.fault == DEVICE:
            # MPS accepts new processes only after all processes that were there at the fault have ended.
            near = neighbours(member, self._members.values())
            idle = [one.address for one in near if one.status == "free"]
            self._client.call(worker.tell, worker.TrialPlugin.renew, workers=idle)
        self._note(
            f"trial {end.trial}: {end.reason}; others used its GPU, so it is no crash: it runs again, alone"
        )
        job.suspect(end.fault)
        self._again(job)

    def _died(self, job: Job, address: str) -> None:
        trial = job.spec.trial
        if job.lost_worker() < _DEATHS:
            self._note(f"trial {trial}: its worker {address} died; it runs again from its last checkpoint")
            self._again(job)
            return
        del self._jobs[trial]
        reason = f"{_DEATHS} workers died while they ran it, the last at {address}"
        self._reports.append(TrialEnded(trial, None, reason=reason))

    def _again(self, job: Job) -> None:
        job.member, job.attempt = None, ""
        if job.future is not None:
            with contextlib.suppress(Exception):  # its scheduler may be gone
                job.future.release()
        job.future = None
        self._waiting.appendleft(job)

    def _note(self, text: str) -> None:
        self._reports.append(Note(text))
        if self._facts is None:
            self._say(text)
