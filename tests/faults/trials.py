"""Trials that fail in every way a process can, in one search."""

from __future__ import annotations

import shutil

from nas.run import journal
from nas.run.state import SearchState
from tests.faults.lab import Lab, Row

_REASONS = {
    "exception": ("exception", "ValueError: this network cannot be trained"),
    "nan": ("NaN", "loss is nan"),
    "memory": ("device out of memory (simulated)", "out of memory"),
    "host_memory": ("host out of memory (RLIMIT_AS)", "allocate memory"),
    "segfault": ("SIGSEGV", "SIGSEGV"),
    "sigkill": ("SIGKILL, as by the kernel's OOM killer", "SIGKILL"),
    "exit": ("process exits", "code 7"),
    "hang": ("hang", "no end after"),
    "gil": ("hang without releasing the GIL", "no end after"),
    "none": ("none (beside the failing ones)", ""),
    "memory_once": ("device out of memory, but not with half the micro-batch", ""),
}


def failing(lab: Lab) -> list[Row]:
    """Searches a space in which nearly all networks fail; the search must end by itself, all journaled."""
    run = lab.folder / "failing"
    code, said = lab.nursery.run(
        *("--space", "tests.execution.faulty:FaultySpace", "--width", "tiny", "--threads", "1"),
        *("--dataset", "digits", "--image-size", "8", "--max-images", "200", "--optimizer", "random"),
        *("--min-epochs", "1", "--max-epochs", "2", "--eta", "2", "--trial-timeout", "6s"),
        *("--runs-dir", str(lab.folder), "--name", run.name),
    )
    trials = SearchState.of(journal.read(run / "trials.jsonl").events).trials.values()
    rows = []
    for fault, (words, reason) in _REASONS.items():
        row = Row(f"trial: {words}", f"journaled as crash: {reason}" if reason else "succeeds")
        ended = [trial for trial in trials if trial.config["fault"] == fault and trial.epochs == 2]
        problems = [] if code == 0 else [f"the search ended with {code}: {said[-200:]}"]
        if not ended:
            problems.append("was never tried")
        for trial in ended:
            if (trial.status == "crashed") != bool(reason) or reason not in trial.reason:
                problems.append(f"{trial.status}: {trial.reason}")
        row.add(problems)
        rows.append(row)
    shutil.rmtree(run)
    return rows
