"""One call of ``nas.confirm``: locks the run, trains what is missing, writes ``confirmed.json``."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from nas.confirm import candidates, record
from nas.confirm.loop import Confirmation, Task
from nas.execution.local import LocalExecutor
from nas.run import journal
from nas.run.events import ConfirmationStarted, Ended
from nas.run.folder import CONFIRMING, Run
from nas.run.objectives import Objectives
from nas.run.state import SearchState
from nas.search.clock import WallClock
from nas.search.duration import DurationModel
from nas.search.provenance import changes, refuse_other_data, session_facts
from nas.search.session import getting_ready, worker_settings
from nas.search.settings import SearchSettings, refuse_foreign_space
from nas.tracking import follower
from nas.trial.weights import WeightStore
from nas.util import output, signals
from nas.util.errors import UserError
from nas.util.quantities import counted
from nas.view.logfile import open_log

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from nas.confirm.settings import ConfirmMachineSettings, ConfirmSettings
    from nas.execution.messages import Facts
    from nas.execution.protocol import Executor
    from nas.run.confirmed_file import ConfirmedFile
    from nas.run.events import Event, SessionStarted
    from nas.run.search_file import SearchFile
    from nas.search.clock import Clock
    from nas.search.listener import Listener

    View = Callable[[Confirmation, Task], contextlib.AbstractContextManager[Listener]]


def confirm(
    path: Path, confirm_settings: ConfirmSettings, machine_settings: ConfirmMachineSettings, view: View
) -> tuple[Run, ConfirmedFile, str]:
    """Trains a run's best configurations again, from scratch, with fresh seeds.

    They are validated on the search's validation images; no test set is loaded. After a kill, the next call
    continues from the last checkpoint.

    Args:
        path: The run folder.
        confirm_settings: What to train.
        machine_settings: Where to train.
        view: Context manager of the view; yields a listener.

    Returns:
        The run, the content of ``confirmed.json``, and why it ended: ``done``, ``budget``,
        ``interrupted`` or ``terminated``.

    Raises:
        UserError: If the run has nothing to confirm, is in use, or cannot be trained here.
    """
    run = Run.open(path)
    with run.lock(CONFIRMING):
        run.sweep()
        search = run.read_search()
        search_settings = _settings(search, machine_settings)
        executor = LocalExecutor(worker_settings(search_settings, run.confirm_checkpoints, run.weights))
        with contextlib.closing(executor):
            return run, *_confirm(run, search, search_settings, confirm_settings, executor, view)


def _settings(search: SearchFile, machine_settings: ConfirmMachineSettings) -> SearchSettings:
    """Returns the search's settings, adapted to this machine; the width ``auto`` is that of the search."""
    stored = SearchSettings.of(search)
    refuse_foreign_space(stored, machine_settings.space)
    machine, data = stored.machine, stored.data
    if machine_settings.device is not None:
        machine = replace(machine, device=machine_settings.device)
    if machine_settings.threads is not None:
        machine = replace(machine, threads=machine_settings.threads)
    if machine_settings.data_dir is not None:
        data = replace(data, data_dir=machine_settings.data_dir)
    return replace(stored, machine=machine, data=data, space=replace(stored.space, width=str(search.width)))


def _confirm(
    run: Run,
    search: SearchFile,
    search_settings: SearchSettings,
    confirm_settings: ConfirmSettings,
    executor: Executor,
    view: View,
) -> tuple[ConfirmedFile, str]:
    searched = SearchState.of(run.read_journal().events)
    contents = _read(run)
    task = Task(
        chosen=candidates.choose(
            searched,
            search.space.default,
            search_settings.fidelity.max_epochs,
            confirm_settings.top,
            run.path,
            search_settings.space.space,
            Objectives.of(search),
        ),
        objectives=Objectives.of(search),
        seeds=confirm_settings.seeds,
        epochs=search_settings.fidelity.max_epochs,
        seed=search_settings.choice.seed,
        seconds=confirm_settings.seconds,
        timeout=confirm_settings.timeout_seconds,
    )
    clock = WallClock(used=contents.events[-1].clock if contents.events else 0.0)
    # Results can be printed without loading the data.
    left = record.Record.of(contents.events, searched, task.epochs).missing(task.chosen, task.seeds)
    if left:
        output.doing(getting_ready(search_settings))
    facts = executor.start() if left else None
    output.doing("")
    if facts is not None:
        refuse_other_data(search, facts)
    with journal.Journal(run.confirm_journal, contents.size, "give the command again") as file:
        return carry_out(
            run,
            task,
            journal=file,
            contents=contents,
            searched=searched,
            executor=executor,
            clock=clock,
            view=view,
            session=_session(run, search, facts, confirm_settings, len(task.chosen) - 1),
            notes=[] if facts is None else changes(search, facts.versions),
            weights=WeightStore(run.weights, search_settings.machine.quota_bytes),
        )


def carry_out(
    run: Run,
    task: Task,
    *,
    journal: journal.Journal,
    contents: journal.Contents,
    searched: SearchState,
    executor: Executor,
    clock: Clock,
    view: View,
    session: SessionStarted,
    notes: Sequence[str] = (),
    weights: WeightStore | None = None,
) -> tuple[ConfirmedFile, str]:
    """Trains what is missing of a task and writes ``confirmed.json`` after every training.

    Args:
        run: The run.
        task: What to train.
        journal: ``confirm.jsonl``, open.
        contents: Its content before.
        searched: State of the search, from which times are predicted.
        executor: Runs the trainings; started if any are left.
        clock: Clock of the confirmation, not of the search.
        view: Context manager of the view; yields a listener.
        session: Facts of this call, for the journal.
        notes: Notes for the user at the start.
        weights: Store of trained weights; those of each configuration's best seed are kept.

    Returns:
        The content of ``confirmed.json``, and why it ended.

    Raises:
        UserError: If the disk cannot be written.
    """
    cost = DurationModel()
    for trial in (*searched.trials.values(), *record.Record.of(contents.events).state.trials.values()):
        if trial.finished:
            cost.observe(trial)
    listeners: list[Listener] = []
    work = Confirmation(
        task,
        journal=journal,
        events=contents.events,
        cost=cost,
        executor=executor,
        clock=clock,
        listeners=listeners,
        searched=searched,
    )
    if work.left:
        listeners.append(_Writer(run, task, work, weights))
        with view(work, task) as shown, signals.handled(work.stop), output.dropping_unread():
            listeners.append(shown)
            for text in notes:
                work.note(text)
            with follower.following(run, work.note) as tracker:
                if tracker is not None:
                    listeners.append(tracker)
                reason = work.run(session)
        open_log(run.log).note(f"confirmation stops: {reason}, {counted(work.left, 'training')} left")
    else:
        reason = "done"
    found = _write(run, task, work, weights)
    if found.complete:
        shutil.rmtree(run.confirm_checkpoints, ignore_errors=True)
    return found, reason


def _read(run: Run) -> journal.Contents:
    if not run.confirm_journal.exists():
        return journal.Contents([], 0, 0)
    return journal.read(run.confirm_journal)


def _session(
    run: Run, search: SearchFile, facts: Facts | None, confirm_settings: ConfirmSettings, top: int
) -> SessionStarted:
    here = session_facts(run, facts or search)
    return ConfirmationStarted(
        "", 0.0, **here, top=top, seeds=confirm_settings.seeds, budget_seconds=confirm_settings.seconds
    )


def _write(run: Run, task: Task, work: Confirmation, weights: WeightStore | None) -> ConfirmedFile:
    found = record.summarise(
        work.record, task.chosen, epochs=task.epochs, seeds=task.seeds, objectives=task.objectives
    )
    try:
        run.write(found)
    except OSError as error:
        raise UserError(f"{run.confirmed_json}: cannot be written ({error.strerror})") from error
    if weights is not None:
        record.tidy(weights, work.record, found)
    return found


class _Writer:
    """Listener that writes ``confirmed.json`` whenever a training has ended."""

    def __init__(self, run: Run, task: Task, work: Confirmation, weights: WeightStore | None) -> None:
        self._run, self._task, self._work, self._weights = run, task, work, weights

    def event(self, event: Event, state: SearchState) -> None:  # noqa: ARG002 - a listener's
        """Writes the file at a training's end."""
        if isinstance(event, Ended):
            _write(self._run, self._task, self._work, self._weights)

    def note(self, text: str) -> None:
        """Writes a line to the run's log."""
        open_log(self._run.log).note(text)

    def tick(self) -> None:
        """Does nothing."""
