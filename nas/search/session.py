"""One session of a run: begins or resumes it, searches, and leaves the folder consistent."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
from dataclasses import dataclass, replace
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import search_spaces
from nas.data import download
from nas.execution.choice import choose
from nas.execution.salvaged import with_salvage
from nas.execution.settings import WorkerSettings
from nas.execution.share import decide, previous
from nas.optimizers import all_rungs, check, create
from nas.run import steps
from nas.run.events import SessionStarted
from nas.run.folded_journal import FoldedJournal
from nas.run.folder import Run
from nas.run.journal import Journal
from nas.run.search_file import SearchFile
from nas.search import costing
from nas.search import warm_start as warm
from nas.search.clock import WallClock
from nas.search.limits import Limits
from nas.search.loop import Search
from nas.search.provenance import changes, describe, refuse_other_data, session_facts
from nas.search.settings import SearchSettings, refuse_changes
from nas.tracking import follower
from nas.tracking.settings import NONE, require
from nas.trial.weights import WeightStore
from nas.util import output, signals
from nas.util.errors import SettingError, UserError, setting
from nas.util.quantities import format_size
from nas.util.seeds import derive
from nas.view.logfile import open_log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nas.execution.protocol import Executor, MeasuringExecutor
    from nas.execution.share import GpuSharing
    from nas.optimizers.protocol import Optimizer
    from nas.run.objectives import Objectives
    from nas.run.state import SearchState
    from nas.search.costing import SearchCosts
    from nas.search.listener import Listener
    from search_spaces.base import SearchSpace

    View = Callable[["RunningSession"], contextlib.AbstractContextManager[Listener]]


@dataclass(frozen=True)
class RunningSession:
    """A running session, as views see it."""

    run: Run
    search: SearchFile
    state: SearchState
    used: Callable[[], float]
    stop: Callable[[str], None]


@dataclass(frozen=True)
class SessionOutcome:
    """The outcome of a session.

    Attributes:
        run: The run.
        search: Content of ``search.json``.
        state: State after the session.
        reason: Why it stopped.
    """

    run: Run
    search: SearchFile
    state: SearchState
    reason: str


def default_name(settings: SearchSettings) -> str:
    """Returns the name of a run for which none is given: the data and the local time."""
    kind, _, place = settings.data.dataset.partition(":")
    data = Path(place).stem if place else kind
    return f"{data}-{datetime.now():%Y%m%d-%H%M%S}"


@contextlib.contextmanager
def unnamed(runs_dir: Path, settings: SearchSettings) -> Iterator[Path]:
    """Yields a unique path for a run's folder, even if two searches begin in the same second.

    Meanwhile a hidden file reserves the name; at the end it and new empty folders are removed.

    Raises:
        UserError: If no run folder can be created.
    """
    _check_writable(runs_dir)
    missing = [folder for folder in (runs_dir, *runs_dir.parents) if not folder.exists()]
    path = runs_dir / default_name(settings)
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
        for number in itertools.count(2):
            kept = path.with_name(f".{path.name}.name")
            with contextlib.suppress(FileExistsError):
                kept.touch(exist_ok=False)
                if not path.exists():
                    break
                kept.unlink()
            path = runs_dir / f"{default_name(settings)}-{number}"
    except OSError as error:
        raise UserError(f"{path}: no run folder can be made there ({error.strerror})") from error
    try:
        yield path
    finally:
        kept.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # they hold a run
            for folder in missing:
                folder.rmdir()


def worker_settings(
    settings: SearchSettings, checkpoints: Path, weights: Path | None = None
) -> WorkerSettings:
    """Returns the settings of the trial process."""
    return WorkerSettings(
        space=settings.space.space,
        width=settings.space.width,
        dataset=settings.data.dataset,
        data_dir=settings.data.data_dir,
        image_size=settings.data.image_size,
        max_images=settings.data.max_images,
        val_fraction=settings.data.val_fraction,
        seed=settings.choice.seed,
        max_epochs=settings.fidelity.max_epochs,
        train=settings.train,
        device=settings.machine.device,
        threads=settings.machine.threads,
        checkpoints=checkpoints,
        quota_bytes=settings.machine.quota_bytes,
        cuda_graphs=settings.machine.cuda_graphs,
        reference=settings.machine.reference,
        weights=weights,
    )


def begin(
    path: Path,
    settings: SearchSettings,
    view: View,
    *,
    filled: bool = False,
    then: Sequence[str] = (),
    log: str = NONE,
) -> SessionOutcome:
    """Begins a new run and searches until it stops.

    Args:
        path: The folder to create.
        settings: All settings.
        view: Called with :class:`RunningSession`; returns a context manager that yields a listener.
        filled: The folder exists and holds the images and nothing else.
        then: Steps that follow the search, as typed; part of the time budget is reserved for them.
        log: The experiment tracker that shows the search.

    Raises:
        UserError: If anything is invalid; no folder is then left behind.
    """
    require(log)
    space = search_spaces.get(settings.space.space)
    if path.exists() and not filled:
        raise UserError(
            f"{path}: exists already; {setting('resume', path)} continues it, "
            f"another {setting('name')} starts a new run"
        )
    _check_writable(path.parent)
    check(settings.choice.optimizer, space, settings.smac)
    objectives = costing.resolve(settings)
    warm_start = settings.choice.warm_start
    earlier = None if warm_start is None else warm.gather(warm_start, space)
    with _executor(settings, objectives, path / "checkpoints", path / "weights") as (
        shared,
        executor,
        stack,
    ):
        facts = executor.start()
        costs = costing.prepare(settings, objectives, executor, facts, stack)
        recorded = None if objectives is None else objectives.recorded()
        search = replace(describe(settings, facts), then=list(then) or None, objectives=recorded)
        configspace = space.configspace().to_serialized_dict()
        run = Run.create(path, search, configspace, earlier)
        with run.lock():
            if costs is not None:
                costs.counter.keep_in(run.costs_jsonl)
            follower.remember(run, log)
            past = FoldedJournal.of(run)
            notes = (*facts.notes, *(() if costs is None else costs.notes))
            if said := all_rungs(settings.choice.optimizer, settings.fidelity, settings.smac):
                notes = (*notes, said)
            session = Session(run, settings, space, search, past, executor, shared, notes, costs)
            return session.carry_out(view)


def resume(
    path: Path,
    settings: SearchSettings,
    view: View,
    stored: SearchFile | None = None,
    past: FoldedJournal | None = None,
    *,
    log: str | None = None,
) -> SessionOutcome:
    """Continues a run from the end of its journal and searches until it stops.

    Args:
        path: The run folder.
        settings: The stored settings, with permitted changes.
        view: As for :func:`begin`.
        stored: Content of ``search.json``, if already read.
        past: The journal, if already read; read again if the run has continued since.
        log: The experiment tracker that shows the search; None: the one it began with.

    Raises:
        UserError: If the run cannot be continued; it is then unchanged.
    """
    run = Run.open(path)
    with run.lock():
        stored = stored or run.read_search()
        refuse_changes(SearchSettings.of(stored), settings)
        log = follower.remembered(run) if log is None else log
        require(log)
        if past is None or not past.is_all(run):
            past = FoldedJournal.of(run)  # so that damage is found before anything starts
        before = previous(past.contents.events)
        with run.written():
            run.sweep()
        objectives = costing.resolve(settings)
        with _executor(settings, objectives, run.checkpoints, run.weights, before) as (
            shared,
            executor,
            stack,
        ):
            facts = executor.start()
            refuse_other_data(stored, facts)
            space = search_spaces.get(settings.space.space)
            search = replace(
                describe(settings, facts),
                created=stored.created,
                then=stored.then,
                objectives=stored.objectives,
                extra=stored.extra,
                order=stored.order,
            )
            costs = costing.prepare(settings, objectives, executor, facts, stack, run=run)
            notes = (*facts.notes, *changes(stored, search.versions))
            with run.written():
                run.write(search)
            follower.remember(run, log)
            session = Session(run, settings, space, search, past, executor, shared, notes, costs)
            return session.carry_out(view)


@contextlib.contextmanager
def _executor(
    settings: SearchSettings,
    objectives: Objectives | None,
    checkpoints: Path,
    weights: Path,
    before: GpuSharing | None = None,
) -> Iterator[tuple[GpuSharing, MeasuringExecutor, contextlib.ExitStack]]:
    """Opens what runs the trials, and a stack for what ends before it."""
    workers = costing.trial_settings(settings, objectives, worker_settings(settings, checkpoints, weights))
    machine = costing.machine_settings(settings)
    output.doing(getting_ready(settings))
    with (
        contextlib.closing(decide(machine, workers, before, settings.budget.seconds)) as shared,
        contextlib.closing(choose(machine, workers, shared)) as executor,
        contextlib.ExitStack() as stack,
    ):
        _load_optimizer_meanwhile()
        yield shared, executor, stack


def _load_optimizer_meanwhile() -> None:
    """Imports SMAC, which takes seconds, in a thread; meanwhile the trial process imports torch."""
    threading.Thread(target=import_module, args=("nas.optimizers.smac.adapter",), daemon=True).start()


def getting_ready(settings: SearchSettings) -> str:
    """Describes what a trial process does before it can train."""
    coming = download.size(settings.data.dataset, settings.data.data_dir)
    if coming:
        what = f"downloading {settings.data.dataset}, {format_size(coming)}, into {settings.data.data_dir}"
    else:
        what = f"loading {settings.data.dataset}"
    return f"{what}, and PyTorch on device {settings.machine.device}"


@dataclass(frozen=True)
class Session:
    """One session on a locked run.

    Attributes:
        run: The run.
        settings: All settings.
        space: The search space.
        search: Content of ``search.json``.
        past: The journal before the session.
        executor: Runs the trials; already started.
        shared: How trials share GPUs.
        notes: Notes for the user at the start.
        costs: Costs and limits, None for the error alone.
    """

    run: Run
    settings: SearchSettings
    space: SearchSpace
    search: SearchFile
    past: FoldedJournal
    executor: Executor
    shared: GpuSharing
    notes: Sequence[str]
    costs: SearchCosts | None = None

    def carry_out(self, view: View) -> SessionOutcome:
        """Searches until it stops."""
        output.doing("getting the optimiser ready")
        with self.run.written():
            log = open_log(self.run.log, None if self.costs is None else self.costs.objectives)
            listeners: list[Listener] = [log]
        if cut := self.past.contents.dropped:
            log.note(f"{self.run.journal.name}: a half-written last line of {cut} bytes was dropped")
        with contextlib.ExitStack() as stack:
            optimizer = self._optimizer()
            with self.run.written():
                journal = stack.enter_context(Journal(self.run.journal, self.past.contents.size))
            loop = self._loop(optimizer, journal, listeners)
            output.doing("")
            watched = RunningSession(self.run, self.search, loop.state, loop.used, loop.stop)
            listeners.append(stack.enter_context(view(watched)))
            for note in self.notes:
                loop.note(note)
            if tracker := stack.enter_context(follower.following(self.run, loop.note)):
                listeners.append(tracker)
            facts = {**session_facts(self.run, self.search), **self.shared.facts()}
            with signals.handled(loop.stop), output.dropping_unread():
                reason = loop.run(SessionStarted("", 0.0, **facts))
            return SessionOutcome(self.run, self.search, loop.state, reason)

    def _optimizer(self) -> Optimizer:
        settings, seed = self.settings, derive(self.settings.choice.seed, "optimizer")
        known = warm.read(self.run.earlier_json)
        return create(
            settings.choice.optimizer,
            self.space,
            settings.fidelity,
            seed,
            settings.smac,
            known,
            costs=None if self.costs is None else self.costs.for_optimizer,
        )

    def _reserved(self, state: SearchState) -> float:
        """Returns the seconds of the time budget reserved for what follows."""
        training = steps.training_seconds(state, self.settings.fidelity.max_epochs)
        then = steps.parse(self.search.then or ())
        return steps.reserved_seconds(then, self.settings.budget.seconds, training)

    def _loop(self, optimizer: Optimizer, journal: Journal, listeners: Sequence[Listener]) -> Search:
        budget = self.settings.budget
        return Search(
            run=self.run,
            journal=journal,
            past=self.past,
            space=self.space,
            fidelity=self.settings.fidelity,
            seed=self.settings.choice.seed,
            limits=Limits(budget.seconds, budget.trials, budget.timeout_seconds, self._reserved),
            optimizer=optimizer,
            executor=with_salvage(self.executor, self.run),
            clock=WallClock(used=self.past.state.clock),
            listeners=listeners,
            weights=WeightStore(self.run.weights, self.settings.machine.quota_bytes),
            costs=self.costs,
            replicates=self.settings.choice.replicates,
        )


def _check_writable(folder: Path) -> None:
    """Refuses a folder that cannot be written before minutes are spent on loading data."""
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise SettingError("runs_dir", None, f"{folder} is not a folder one can write to")
