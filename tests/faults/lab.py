"""Where faults are tried: the nursery, the unharmed search, and what a harmed one must share with it."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nas.run import journal
from tests.faults.disk import Fault
from tests.faults.folders import SEARCH, Ledger, ledger, resuming, run_twice, unreadable
from tests.faults.nursery import Nursery, Search


@dataclass
class Row:
    """One line of the table.

    Attributes:
        fault: What was done.
        expected: What must happen.
        tried: How often it was done.
        survived: How often the expected outcome happened.
        lost: Finished trials that were missing, different or run twice afterwards.
        problems: What went wrong, one line each.
    """

    fault: str
    expected: str
    tried: int = 0
    survived: int = 0
    lost: int = 0
    problems: list[str] = field(default_factory=list)

    def add(self, problems: list[str], lost: int = 0) -> None:
        """Counts one trial of the fault."""
        self.tried += 1
        self.survived += not problems
        self.lost += lost
        self.problems += problems


@dataclass(frozen=True)
class Lab:
    """Holds what all faults are measured against.

    Attributes:
        nursery: Starts searches.
        folder: Scratch space, removed at the end.
        reference: The unharmed run.
        expected: Its ledger.
        operations: What it did to its folder: how often each (operation, kind of file).
    """

    nursery: Nursery
    folder: Path
    reference: Path
    expected: Ledger
    operations: Counter[tuple[str, str]]

    @property
    def seconds(self) -> float:
        """Seconds of its budget that the unharmed search used."""
        return float(journal.read(self.reference / "trials.jsonl").events[-1].clock)

    def start(self, name: str, fault: Fault | None = None, **options: object) -> Search:
        """Starts a new search like the unharmed one."""
        where = ("--runs-dir", str(self.folder), "--name", name)
        return self.nursery.start(*SEARCH, *where, fault=fault, **options)

    def finish(self, run: Path) -> list[str]:
        """Resumes a run until it ends by itself; returns what went wrong."""
        if not run.exists():  # it died before there was anything to lose
            return [] if self.start(run.name).wait() == 0 else ["a new search did not run"]
        code, said = self.nursery.run(*resuming(run))
        return [] if code == 0 else [f"resume ended with {code}: {said.strip()[-200:]}"]

    def compare(self, run: Path) -> tuple[list[str], int]:
        """What is wrong with a finished run, and how many trials were lost."""
        found = ledger(run)
        lost = [row for row in self.expected if row not in found]
        twice = run_twice(run)
        problems = [f"lost or different: trial {row[0]}" for row in lost]
        problems += [f"run twice: trial {number}" for number in twice]
        if len(found) > len(self.expected):
            problems.append(f"{len(found) - len(self.expected)} trials more than the unharmed search")
        problems += [f"left behind or unreadable: {name}" for name in unreadable(run)]
        return problems, len(lost) + len(twice)

    def verdict(self, row: Row, run: Path, before: Sequence[str] = ()) -> None:
        """Resumes a harmed run to its end, compares it, counts it, and removes it.

        Args:
            row: Where to count.
            run: The run.
            before: What went wrong already.
        """
        problems = self.finish(run)
        if problems:
            row.add([*before, *problems], len(self.expected))
            shutil.rmtree(run, ignore_errors=True)
        else:
            self.count(row, run, before)

    def count(self, row: Row, run: Path, before: Sequence[str]) -> None:
        """Compares a run that has ended, counts it, and removes it; arguments as for :meth:`verdict`."""
        found, lost = self.compare(run)
        row.add([*before, *found], lost)
        shutil.rmtree(run, ignore_errors=True)


@contextlib.contextmanager
def opened() -> Iterator[Lab]:
    """Opens a lab and runs the unharmed search in it, counting what it does to its folder."""
    folder = Path(tempfile.mkdtemp(prefix="smacnas-faults-"))
    try:
        with Nursery(folder) as nursery:
            reference, trace = folder / "unharmed", folder / "trace.txt"
            code, said = nursery.run(
                *SEARCH,
                *("--runs-dir", str(folder), "--name", reference.name),
                fault=Fault(str(reference), "trace", trace=str(trace)),
            )
            if code != 0:
                raise RuntimeError(f"the unharmed search ended with {code}: {said}")
            yield Lab(nursery, folder, reference, ledger(reference), _operations(trace))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _operations(trace: Path) -> Counter[tuple[str, str]]:
    """How often each operation was done to each kind of file, by the process that did it most.

    Each process counts its own operations, until it is killed.
    """
    by_process: dict[str, Counter[tuple[str, str]]] = {}
    for line in trace.read_text().splitlines():
        process, operation, kind = line.split("\t")
        by_process.setdefault(process, Counter())[operation, kind] += 1
    most: Counter[tuple[str, str]] = Counter()
    for counts in by_process.values():
        most |= counts
    return most
