"""One search of one optimiser on one problem: the real loop, journal and run folder, in simulated time."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from nas.execution.simulated import SimulatedClock, SimulatedExecutor
from nas.run.events import NewIncumbent, SessionStarted
from nas.run.folded_journal import FoldedJournal
from nas.run.folder import Run
from nas.run.journal import Journal
from nas.search.limits import Limits
from nas.search.loop import Search
from nas.util.seeds import derive

if TYPE_CHECKING:
    from benchmarks.quality.opponent_base import OptimizerFactory
    from benchmarks.quality.problems import TrueError
    from nas.execution.simulated import SimulatedResult
    from nas.optimizers.protocol import Fidelity
    from nas.run.events import Event
    from nas.run.state import SearchState
    from search_spaces.base import Config, SearchSpace


@dataclass
class Trace:
    """A listener that keeps when the incumbent changed.

    Attributes:
        steps: Full evaluations paid, and the true error of the new incumbent.
    """

    problem: Problem
    steps: list[tuple[float, float]]

    def event(self, event: Event, state: SearchState) -> None:
        """Notes a new incumbent."""
        if isinstance(event, NewIncumbent):
            trial = state.trials[event.trial]
            paid = event.clock / self.problem.optimum.full_seconds
            self.steps.append((paid, self.problem.true_error(trial.config)))

    def note(self, text: str) -> None:
        """Nothing to keep."""

    def tick(self) -> None:
        """Nothing to do."""


class Problem(Protocol):
    """What ``race`` needs of a problem; see ``benchmarks.quality.problems``."""

    @property
    def space(self) -> SearchSpace:
        """What is searched."""
        ...

    @property
    def fidelity(self) -> Fidelity:
        """Rungs of epochs."""
        ...

    @property
    def optimum(self) -> TrueError:
        """The best there is."""
        ...

    def __call__(self, config: Config, epochs: int, seed: int) -> SimulatedResult:
        """Answers for a training."""
        ...

    def true_error(self, config: Config) -> float:
        """Error at the highest rung, without noise."""
        ...


def race(
    problem: Problem,
    maker: OptimizerFactory,
    *,
    seed: int,
    evaluations: float,
    slots: int = 1,
    replicates: float = 0.0,
) -> list[tuple[float, float]]:
    """Runs one search; returns when the incumbent changed, in full evaluations, and its regret.

    Arguments are those of :func:`search`.
    """
    return search(problem, maker, seed=seed, evaluations=evaluations, slots=slots, replicates=replicates)[1]


def search(
    problem: Problem,
    maker: OptimizerFactory,
    *,
    seed: int,
    evaluations: float,
    slots: int = 1,
    replicates: float = 0.0,
) -> tuple[SearchState, list[tuple[float, float]]]:
    """Runs one search; returns its state, and when the incumbent changed with its regret.

    Args:
        problem: Table or surrogate.
        maker: Makes the optimiser.
        seed: Seed of optimiser and trainings.
        evaluations: Simulated time, in mean trainings at the highest rung.
        slots: Trials at the same time.
        replicates: Share of the epochs that goes to further seeds of the best.
    """
    trace = Trace(problem, [])
    with tempfile.TemporaryDirectory(dir=_memory()) as scratch:
        run = Run(Path(scratch))
        clock = SimulatedClock()
        with Journal(run.journal, 0) as journal:
            loop = Search(
                run=run,
                journal=journal,
                past=FoldedJournal.of(run),
                space=problem.space,
                fidelity=problem.fidelity,
                seed=seed,
                limits=Limits(evaluations * problem.optimum.full_seconds),
                optimizer=maker(problem.space, problem.fidelity, derive(seed, "optimizer")),
                executor=SimulatedExecutor(problem, clock, slots),
                clock=clock,
                listeners=[trace],
                replicates=replicates,
            )
            loop.run(SessionStarted("", 0.0, command=["simulated"], hardware={}, versions={}))
    return loop.state, [(paid, error - problem.optimum.best) for paid, error in trace.steps]


def _memory() -> str | None:
    """A folder in memory where there is one: thousands of simulated trials write their journal."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None
