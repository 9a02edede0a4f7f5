"""Faults around a search: it is suspended, its terminal closes, its file system has no locks."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from nas.run import journal
from nas.run.folder import Run
from nas.run.state import SearchState
from nas.util.timestamps import from_iso
from tests.faults.disk import Fault
from tests.faults.folders import SEARCH, resuming
from tests.faults.kills import wait_for
from tests.faults.lab import Lab, Row
from tests.faults.nursery import Search

_TIMEOUT, _STOP = 3.0, 5.0  # seconds


def suspended(lab: Lab, whom: str) -> Row:
    """Stops a search, its trial process or both for longer than a trial may take, and lets them go on.

    Args:
        lab: Where.
        whom: ``both``, as Ctrl-Z and a batch system do; ``the search alone``; ``the trial alone``.
    """
    row = Row(f"SIGSTOP for longer than the trial timeout: {whom}", "the unharmed ledger, no budget used")
    run = lab.folder / "suspended"
    where = ("--runs-dir", str(lab.folder), "--name", run.name)
    search = lab.nursery.start(*SEARCH, "--trial-timeout", f"{_TIMEOUT:.0f}s", *where)
    wait_for(run, 12)
    pids = {"both": [search.pid, *_trials(search)], "the search alone": [search.pid]}
    for pid in pids.get(whom, _trials(search)):
        os.kill(pid, signal.SIGSTOP)
    time.sleep(_STOP)
    search.signal_all(signal.SIGCONT)
    problems = [] if (code := search.wait()) == 0 else [f"exit code {code}: {search.said[-200:]}"]
    events = journal.read(Run(run).journal).events
    # Not its time against the unharmed one's: on a busy machine that is another.
    left_out = from_iso(events[-1].time) - from_iso(events[0].time) - events[-1].clock
    if left_out < _STOP - 1:
        problems.append(f"stopped for {_STOP} s, of which only {left_out:.1f} s count as no budget")
    said = Run(run).log.read_text()
    if ("stood still for" if whom != "the trial alone" else "its process is stopped") not in said:
        problems.append("the log does not say so")
    lab.count(row, run, problems)
    return row


def nohup(lab: Lab) -> Row:
    """Closes the terminal of a search that was started with SIGHUP ignored."""
    row = Row("terminal closes, under nohup", "goes on to its end, the unharmed ledger")
    run = lab.folder / "nohup"
    with _terminal() as (name, hang_up):
        search = lab.start(run.name, terminal=name, ignores=[signal.SIGHUP])
        wait_for(run, 12)
        hang_up()
        code = search.wait()
    lab.count(row, run, [] if code == 0 else [f"exit code {code}"])
    return row


def hung_up(lab: Lab) -> Row:
    """Closes the terminal of a search."""
    row = Row("terminal closes", "exit code 143, saved, resumes to the unharmed ledger")
    run = lab.folder / "hung-up"
    with _terminal() as (name, hang_up):
        search = lab.start(run.name, terminal=name)
        wait_for(run, 12)
        hang_up()
        code = search.wait(60)
    lab.verdict(row, run, _ended_in_order(run, code))
    return row


def told_to_all(lab: Lab, number: signal.Signals) -> Row:
    """Sends a signal to a search and its trial process at once, as systemd and batch systems do."""
    row = Row(
        f"{number.name} to all processes of the search",
        "exit code 143, saved, resumes to the unharmed ledger",
    )
    run = lab.folder / "all"
    search = lab.start(run.name)
    wait_for(run, 12)
    search.signal_all(number)
    lab.verdict(row, run, _ended_in_order(run, search.wait(60)))
    return row


def without_locks(lab: Lab) -> Row:
    """Kills a search where ``flock`` fails, has a second one try, and resumes, all without it."""
    row = Row(
        "file system without locks (flock)", "one note; a second is refused; resumes to the unharmed ledger"
    )
    run = lab.folder / "lockless"
    fault = Fault(str(run), "kill", "write", "journal", 30)
    killed = lab.start(run.name, fault, locks=False)
    wait_for(run, 5)
    code, said = lab.nursery.run(*resuming(run), locks=False)
    problems = []
    if killed.wait() != -signal.SIGKILL:
        problems.append("the search was not killed where it should be")
    if code != 2 or f"in use by process {killed.pid}" not in said:
        problems.append(f"the second search: exit code {code}, {said[-200:]}")
    code, said = lab.nursery.run(*resuming(run), locks=False)
    if code != 0 or said.count("no locks on this file system") != 1:
        problems.append(f"resumed: exit code {code}, {said[-300:]}")
    lab.count(row, run, problems)
    return row


@contextlib.contextmanager
def _terminal() -> Iterator[tuple[str, Callable[[], None]]]:
    """A terminal's name, and what closes it."""
    master, slave = pty.openpty()
    name = os.ttyname(slave)
    os.close(slave)
    open_ = [master]

    def hang_up() -> None:
        os.close(open_.pop())

    try:
        yield name, hang_up
    finally:
        for number in open_:
            os.close(number)


def _trials(search: Search) -> list[int]:
    """The search's trial processes."""
    children = Path(f"/proc/{search.pid}/task/{search.pid}/children").read_text().split()
    return [int(child) for child in children]


def _ended_in_order(run: Path, code: int) -> list[str]:
    problems = [] if code == 143 else [f"exit code {code}"]
    state = SearchState.of(journal.read(Run(run).journal).events)
    if state.stopped != "terminated":
        problems.append("the journal does not say why it stopped")
    return problems
