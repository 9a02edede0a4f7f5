"""Killing searches: at random moments, in the middle of every kind of write, and by signals in order."""

from __future__ import annotations

import random
import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from nas.run import journal
from nas.run.folder import Run
from nas.run.state import SearchState
from tests.faults.disk import Fault
from tests.faults.folders import ledger, resuming
from tests.faults.lab import Lab, Row

# The code a shell shows, and what the journal's last line says.
_SIGNALS = {signal.SIGINT: (130, "interrupted"), signal.SIGTERM: (143, "terminated")}


def at_random(lab: Lab, kills: int, seed: int = 0) -> Row:
    """Kills searches and their resumptions at random moments; each run must end as the unharmed one.

    Every second kill hits the search alone, so that its trial process has to notice.
    """
    row = Row("SIGKILL at a random moment", "resumes to the unharmed ledger")
    draw = random.Random(seed)
    duration = _seconds(lab.reference)
    done = 0
    while done < kills:
        run = lab.folder / f"killed-{done}"
        search = lab.start(run.name)
        before = done
        while done < kills:
            if search.over(draw.uniform(0, duration)):
                break
            (search.kill if done % 2 else search.kill_alone)()
            search.wait()
            done += 1
            if run.exists() and not set(ledger(run)) <= set(lab.expected):
                row.problems.append(f"kill {done}: the journal holds what the unharmed search never did")
            search = lab.nursery.start(*resuming(run)) if run.exists() else lab.start(run.name)
        code = search.wait()
        if code == 2 and "in use by" in search.said:
            # A forked trial process holds the lock for a moment; a spawned one closes it as it starts.
            time.sleep(1)
            search = lab.nursery.start(*resuming(run))
            code = search.wait()
        problems, lost = lab.compare(run)
        if code != 0:
            problems = [f"the last search ended with {code}: {search.said.strip()[-600:]}"]
        for kill in range(before, done):
            row.add(problems if kill == before else [], lost if kill == before else 0)
        shutil.rmtree(run, ignore_errors=True)
    return row


def points(lab: Lab, most: int | None) -> dict[str, list[tuple[str, int]]]:
    """Returns where to kill: by kind of file, (operation, count), at most ``most`` of each pair."""
    chosen: dict[str, list[tuple[str, int]]] = {}
    for (operation, kind), count in sorted(lab.operations.items()):
        numbers = list(range(1, count + 1))
        if most is not None and count > most:
            step = count / most
            numbers = [numbers[int(step * (i + 0.5))] for i in range(most)]
        chosen.setdefault(kind, []).extend((operation, number) for number in numbers)
    return chosen


def in_writes(lab: Lab, most: int | None = None, only: Sequence[str] = ()) -> list[Row]:
    """Kills a search in the middle of each write, fsync, rename, removal and truncation it does.

    Args:
        lab: Where.
        most: How many of each operation on each kind of file, evenly spread; None for all.
        only: Kinds of files; empty for all.
    """
    rows = []
    for kind, wheres in points(lab, most).items():
        if only and kind not in only:
            continue
        row = Row(f"SIGKILL amid a write, fsync or rename: {kind}", "resumes to the unharmed ledger")
        for operation, number in wheres:
            run = lab.folder / "cut"
            code = lab.start(run.name, Fault(str(run), "kill", operation, kind, number)).wait()
            if code != -signal.SIGKILL:
                row.add([f"{operation} {number} of {kind} was not met (exit code {code})"])
                shutil.rmtree(run, ignore_errors=True)
            else:
                lab.verdict(row, run)
        rows.append(row)
    return rows


def in_export(lab: Lab, most: int | None = None) -> Row:
    """Kills the writing of what DeepCAVE reads; a reader must find the old file or the new one."""
    row = Row("SIGKILL amid a write, fsync or rename: DeepCAVE export", "old or new file, whole")
    run = shutil.copytree(lab.reference, lab.folder / "exported")
    export = run / "deepcave" / "history.json"
    command = {"command": "tests.faults.export"}
    trace = lab.folder / "export-trace.txt"
    lab.nursery.run(str(run), **command, fault=Fault(str(run), "trace", trace=str(trace)))
    whole = export.read_bytes()
    count = len(trace.read_text().splitlines())
    for number in range(1, count + 1)[:: 1 if most is None else max(count // most, 1)]:
        for before in (None, b'{"old": true}'):
            shutil.rmtree(export.parent)
            if before is not None:
                export.parent.mkdir()
                export.write_bytes(before)
            lab.nursery.run(str(run), **command, fault=Fault(str(run), "kill", number=number))
            found = export.read_bytes() if export.exists() else None
            problems = [] if found in (before, whole) else [f"half an export after operation {number}"]
            code, said = lab.nursery.run(str(run), **command)
            if code != 0 or export.read_bytes() != whole:
                problems.append(f"not exported anew after operation {number}: {said[-200:]}")
            row.add(problems)
    shutil.rmtree(run)
    return row


def by_signal(lab: Lab, number: signal.Signals, times: int) -> Row:
    """Stops a search by a signal, once or several times, as batch schedulers and people do."""
    code, reason = _SIGNALS[number]
    words = {1: "once", 2: "twice"}.get(times, f"{times} times")
    row = Row(f"{number.name}, {words}", f"exit code {code}, saved, resumes to the unharmed ledger")
    run = lab.folder / f"{number.name}-{times}"
    search = lab.start(run.name)
    wait_for(run, 12)
    begun = time.monotonic()
    for _ in range(times):
        search.signal(number)
        time.sleep(0.02)
    ended = search.wait(60)
    seconds = time.monotonic() - begun
    problems = [] if ended == code else [f"exit code {ended}"]
    if SearchState.of(journal.read(run / "trials.jsonl").events).stopped != reason:
        problems.append("the journal does not say why it stopped")
    if seconds > 45:
        problems.append(f"took {seconds:.0f} s")
    problems += lab.finish(run)
    lab.count(row, run, problems)
    return row


def wait_for(run: Path, lines: int) -> None:
    """Waits until a run's journal has a number of lines."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if Run(run).journal.exists() and Run(run).journal.read_bytes().count(b"\n") >= lines:
            return
        time.sleep(0.005)
    raise TimeoutError(f"{run} did not grow to {lines} lines")


def _seconds(run: Path) -> float:
    return 1.2 * float(journal.read(run / "trials.jsonl").events[-1].clock) + 0.3
