"""Run folders that two searches want, that are moved to another machine, or that outlive a clock."""

from __future__ import annotations

import json
import shutil
import time

from tests.faults.disk import Fault
from tests.faults.folders import SEARCH, ledger, resuming
from tests.faults.lab import Lab, Row


def second_search(lab: Lab) -> Row:
    """Starts a second search on a folder while one runs there."""
    row = Row("two searches on one run folder", "the second is refused in one line, the first unharmed")
    run = lab.folder / "shared"
    first = lab.start(run.name, Fault(str(run), "slow"))
    while not (run / ".lock").exists():
        time.sleep(0.01)
    code, said = lab.nursery.run(*resuming(run))
    problems = []
    if code != 2 or said.count("\n") != 1 or f"in use by process {first.pid}" not in said:
        problems.append(f"exit code {code}: {said[-200:]}")
    if first.wait() != 0:
        problems.append("the first search was disturbed")
    lab.count(row, run, problems)
    return row


def array_tasks(lab: Lab, times: int) -> Row:
    """Starts two tasks of a job array at the same moment; a third follows after them."""
    row = Row("two job array tasks start together (--resume auto)", "one runs, the other ends in one line")
    for index in range(times):
        run = lab.folder / f"array-{index}"
        args = (*SEARCH, "--runs-dir", str(lab.folder), "--name", run.name, "--resume", "auto")
        tasks = [lab.nursery.start(*args) for _ in range(2)]
        codes = [task.wait() for task in tasks]
        said = " ".join(task.said for task in tasks)
        problems = []
        if sorted(codes) != [0, 2] or said.count("in use by process") != 1 or "Traceback" in said:
            problems.append(f"exit codes {codes}: {said[-300:]}")
        code, said = lab.nursery.run(*args)
        if code != 0 or f"--resume auto: continues {run}" not in said:
            problems.append(f"the task after them: exit code {code}, {said[-200:]}")
        lab.count(row, run, problems)
    return row


def jumping_clock(lab: Lab) -> Row:
    """Lets the time of day jump by up to 20 years, forth and back, in a search and its resumption."""
    row = Row("time of day jumps by up to 20 years", "the unharmed ledger, no budget lost")
    run = lab.folder / "jumping"
    lab.start(run.name, Fault(str(run), "kill", "write", "journal", 30), clock_jumps=True).wait()
    before = ledger(run)
    code, said = lab.nursery.run(*resuming(run), clock_jumps=True)
    problems = [] if code == 0 and before else [f"exit code {code}: {said[-200:]}"]
    lab.count(row, run, problems)
    return row


def moved(lab: Lab) -> Row:
    """Copies a killed run to another place, as if from another machine, and goes on there."""
    row = Row("run folder copied to another machine", "resumes to the unharmed ledger")
    run, there = lab.folder / "here", lab.folder / "another" / "place"
    lab.start(run.name, Fault(str(run), "kill", "write", "journal", 30)).wait()
    there.mkdir(parents=True)
    shutil.move(run, there / "renamed")
    run = there / "renamed"
    (run / ".lock").write_text("process 1 on elsewhere, searching")
    search = json.loads((run / "search.json").read_bytes())
    search["settings"]["data"]["data_dir"] = "/nowhere/data"
    (run / "search.json").write_text(json.dumps(search))
    lab.verdict(row, run)
    return row


def other_device(lab: Lab) -> Row:
    """Goes on without the GPU that a run began on: refused in one line, until --device says where."""
    row = Row("run folder taken to another device", "refused in one line; with --device the unharmed ledger")
    run = lab.folder / "gpu"
    lab.start(run.name, Fault(str(run), "kill", "write", "journal", 30)).wait()
    search = json.loads((run / "search.json").read_bytes())
    search["settings"]["machine"]["device"] = "cuda:7"
    (run / "search.json").write_text(json.dumps(search))
    code, said = lab.nursery.run(*resuming(run))
    problems = []
    if code != 2 or said.count("\n") != 1 or "--device" not in said:
        problems.append(f"exit code {code}: {said[-200:]}")
    code, said = lab.nursery.run(*resuming(run), "--device", "cpu")
    problems += [] if code == 0 else [f"with --device cpu: exit code {code}, {said[-200:]}"]
    lab.count(row, run, problems)
    return row
