"""Many workers and long journals: ``python -m benchmarks.scaling`` makes docs/scaling.md's tables.

The search is real: loop, journal on disk, SMAC, promotions. Trials are simulated: their time is
skipped, while every second the search itself takes passes on the clock, and keeps workers waiting.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import random
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import search_spaces
from nas.execution.simulated import SimulatedClock, SimulatedExecutor, SimulatedResult
from nas.optimizers import create
from nas.optimizers.protocol import Fidelity
from nas.optimizers.settings import OptimizerSettings
from nas.run.events import Event, SessionStarted
from nas.run.folded_journal import FoldedJournal
from nas.run.folder import Run
from nas.run.journal import Journal
from nas.run.state import SearchState
from nas.search.limits import Limits
from nas.search.loop import Search
from nas.search.provenance import describe
from nas.search.settings import BudgetSettings, SearchSettings
from nas.status import __main__ as status
from nas.view import snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nas.execution.messages import TrialSpec
    from nas.run.search_file import SearchFile
    from search_spaces.base import Config

_FIDELITY = Fidelity(5, 45, 3)
_SPREAD = 0.5  # of the log of seconds per epoch: the slowest of 20 networks takes five times the fastest


class SkippingClock(SimulatedClock):
    """Real time while the search works; simulated time while it waits for trials."""

    def __init__(self) -> None:
        super().__init__()
        self._real = time.perf_counter()

    def used(self) -> float:
        """Seconds the search has run, those it skipped included."""
        now = time.perf_counter()
        self._used += now - self._real
        self._real = now
        return self._used


class CountingExecutor(SimulatedExecutor):
    """Notes when its slots are busy."""

    def __init__(self, problem: Problem, clock: SkippingClock, slots: int) -> None:
        super().__init__(problem, clock, slots)
        self.spans: list[tuple[float, float]] = []

    def submit(self, spec: TrialSpec) -> None:
        """Notes when the trial begins and will end."""
        super().submit(spec)
        end = next(end for end, trial, _ in self._due if trial == spec.trial)
        self.spans.append((self._clock.used(), end))

    def busy_share(self) -> float:
        """Share of the slots' time in which a trial ran, until the last trial was begun."""
        last = max(begin for begin, _ in self.spans)
        busy = sum(min(end, last) - begin for begin, end in self.spans)
        return busy / (self.slots * last)


@dataclass(frozen=True)
class Problem:
    """Learning curves with noise; every network has a speed of its own."""

    seconds: float

    def __call__(self, config: Config, epochs: int, seed: int) -> SimulatedResult:  # noqa: ARG002
        """Answers for the first ``epochs`` epochs."""
        digest = hashlib.sha256(repr(sorted(config.items())).encode()).digest()
        draw = random.Random(digest)
        speed = self.seconds * draw.lognormvariate(0.0, _SPREAD)
        level = 0.2 + 0.3 * draw.random()
        return SimulatedResult(tuple(level + 0.5 / epoch for epoch in range(1, epochs + 1)), speed)


@dataclass
class SimulatedRun:
    """A simulated search in a folder of its own."""

    folder: Path
    workers: int
    trials: int
    seconds_per_epoch: float = 12.0
    settings: OptimizerSettings = field(default_factory=OptimizerSettings)
    durable: bool = True

    @property
    def run(self) -> Run:
        """Its folder."""
        return Run.open(self.folder / "run")

    def search(self) -> tuple[Search, Journal, CountingExecutor]:
        """Begins a search, or resumes the one in the folder."""
        space = search_spaces.get("nexception")
        path = self.folder / "run"
        run = Run.open(path) if path.exists() else Run.create(path, described(), {})
        past = FoldedJournal.of(run)
        clock = SkippingClock()
        executor = CountingExecutor(Problem(self.seconds_per_epoch), clock, self.workers)
        file = (Journal if self.durable else HastyJournal)(run.journal, past.contents.size)
        search = Search(
            run=run,
            journal=file,
            past=past,
            space=space,
            fidelity=_FIDELITY,
            seed=0,
            limits=Limits(1e12, self.trials),
            optimizer=create("smac", space, _FIDELITY, 0, self.settings),
            executor=executor,
            clock=clock,
        )
        return search, file, executor


class HastyJournal(Journal):
    """Does not wait for the disk: for journals whose writing is not timed."""

    def append(self, event: Event, *, durable: bool = True) -> None:  # noqa: ARG002
        """Writes an event."""
        super().append(event, durable=False)


def described() -> SearchFile:
    """What ``search.json`` needs for a status."""
    settings = SearchSettings(budget=BudgetSettings("800000h"), fidelity=_FIDELITY)
    return describe(settings, SimulatedExecutor(Problem(1.0), SimulatedClock()).start())


def measure_workers(workers: int, trials: int, seconds_per_epoch: float) -> str:
    """Returns a row of the table: how busy a number of workers is kept."""
    with tempfile.TemporaryDirectory() as folder:
        simulated = SimulatedRun(Path(folder), workers, trials, seconds_per_epoch)
        search, file, executor = simulated.search()
        begin = time.perf_counter()
        with file:
            search.run(SessionStarted("", 0.0, command=[], hardware={}, versions={}))
        own = time.perf_counter() - begin
        state = search.state
        mean = sum(end - begun for begun, end in executor.spans) / len(executor.spans)
        return (
            f"| {workers} | {state.finished} | {mean:.0f} | {100 * executor.busy_share():.1f} | "
            f"{1000 * own / state.finished:.0f} | {state.finished / state.clock * 3600:,.0f} |"
        )


def measure_journal(sizes: list[int]) -> Iterator[str]:
    """Yields one row per number of trials: how long it takes to read, show and resume such a run.

    The real loop makes them, one run growing through all sizes.
    """
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            # Without a model, whose asks would take hours, and without SMAC's own files: the trials, the
            # brackets and the journal are the same.
            plain = OptimizerSettings(random_probability=1.0)
            simulated = SimulatedRun(Path(folder), 64, size, settings=plain, durable=False)
            search, file, _ = simulated.search()
            search._snapshots.take = lambda: None  # type: ignore[method-assign]
            with file:
                search.run(SessionStarted("", 0.0, command=[], hardware={}, versions={}))
            del search
            asked = resume_and_ask(replace(simulated, settings=OptimizerSettings()))
            yield f"{read_and_show(simulated.run)} {asked}"


def read_and_show(run: Run) -> str:
    """Processor seconds of a status, in parts and as a whole; other programs do not count."""
    begin = time.process_time()
    contents = run.read_journal()
    read = time.process_time()
    state = SearchState.of(contents.events)
    folded = time.process_time()
    snapshot.take(state, described(), name="", status="running", used=state.clock)
    shown = time.process_time()
    row = (
        f"| {state.finished:,} | {contents.size / 1e6:.0f} | {read - begin:.2f} | {folded - read:.2f} | "
        f"{shown - folded:.2f} |"
    )
    del contents, state
    begin = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        status.main([str(run.path), "--json"])
    return f"{row} {time.process_time() - begin:.1f} |"


def resume_and_ask(simulated: SimulatedRun) -> str:
    """Processor seconds of what a resume does before its first trial, and of the model's first choice."""
    begin = time.process_time()
    search, file, _ = simulated.search()
    resumed = time.process_time()
    file.close()
    asked, origin = resumed, ""
    while not origin.startswith("acquisition"):  # a promotion, or at random
        begun = asked
        suggestion = search._optimizer.ask()
        assert suggestion is not None, "the space is exhausted"
        asked, origin = time.process_time(), suggestion.origin
    return f"{resumed - begin:.1f} | {1000 * (asked - begun):.0f} |"


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, nargs="*", default=[1, 8, 64, 256])
    parser.add_argument("--trials-per-worker", type=int, default=10)
    parser.add_argument("--seconds-per-epoch", type=float, default=12.0, help="median over networks")
    parser.add_argument("--journal", type=int, nargs="*", default=[1_000, 10_000, 100_000], help="trials")
    options = parser.parse_args()
    if options.workers:
        print("| workers | trials | mean trial, s | busy, % | search's own ms a trial | trials an hour |")
        print("|---|---|---|---|---|---|")
    for workers in options.workers:
        trials = max(workers * options.trials_per_worker, 100)
        print(measure_workers(workers, trials, options.seconds_per_epoch), flush=True)
    if options.journal:
        print("\n| trials | journal, MB | read, s | fold, s | draw, s | status, s | resume, s | ask, ms |")
        print("|---|---|---|---|---|---|---|---|", flush=True)
        for row in measure_journal(options.journal):
            print(row, flush=True)


if __name__ == "__main__":
    main()
