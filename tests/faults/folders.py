"""What a run folder says, compared exactly: the ledger, and whether every file in it is whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nas.run import journal
from nas.run.events import Ended
from nas.run.state import SearchState
from nas.trial.checkpoint import CheckpointStore

_SPACE = ("--space", "tests.faults.tiny:TinySpace")

# A real search with real training: networks of some hundred parameters on 200 real digits.
SEARCH = (
    *(*_SPACE, "--width", "tiny", "--threads", "1"),
    *("--dataset", "digits", "--image-size", "8", "--max-images", "200"),
    *("--min-epochs", "1", "--max-epochs", "4", "--eta", "2", "--trials", "10", "--budget", "1h"),
)

_EXACT = ("val_loss", "train_loss", "top1", "top5", "params", "macs")

Ledger = list[tuple[Any, ...]]


def resuming(run: Path) -> tuple[str, ...]:
    """Arguments that go on with a run; the space's module has to be named once more."""
    return ("--resume", str(run), *_SPACE)


def ledger(run: Path) -> Ledger:
    """Every finished trial with all that must not depend on faults: who, how long, how good, how it ended."""
    contents = journal.read(run / "trials.jsonl")
    return [
        (
            *(t.trial, t.config_id, t.epochs, t.origin, t.status, t.error, t.reason, t.cached),
            *(t.metrics.get(key) for key in _EXACT),
        )
        for t in SearchState.of(contents.events).trials.values()
        if t.finished
    ]


def run_twice(run: Path) -> list[int]:
    """Trials that have more than one end."""
    events = journal.read(run / "trials.jsonl").events
    ends = [event.trial for event in events if isinstance(event, Ended)]
    return sorted({trial for trial in ends if ends.count(trial) > 1})


def unreadable(run: Path) -> list[str]:
    """Files of a run that cannot be read, and temporary ones that nobody will ever remove."""
    bad: list[str] = []
    for path in sorted(run.rglob("*")):
        name = str(path.relative_to(run))
        if path.is_dir():
            if path.name.startswith("."):
                bad.append(name)
        elif path.suffix == ".json":
            try:
                json.loads(path.read_bytes())
            except ValueError:
                bad.append(name)
        elif (path.name.startswith(".") and path.name != ".lock") or path.suffix in (".tmp", ".bad"):
            bad.append(name)
    notes: list[str] = []
    store = CheckpointStore(run / "checkpoints", 10**12, on_note=notes.append)
    for path in sorted((run / "checkpoints").glob("*.pt")):
        config, _, epoch = path.stem.rpartition("-")
        store.latest(config, int(epoch))
    return bad + notes
