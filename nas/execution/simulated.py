"""Trials answered by a function in simulated time: days of search in seconds, with the real loop."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from nas.execution.messages import EpochDone, Facts, TrialEnded, TrialPaused
from nas.run.search_file import Data, Hardware

if TYPE_CHECKING:
    from nas.execution.messages import Report, TrialSpec
    from search_spaces.base import Config


@dataclass(frozen=True)
class SimulatedResult:
    """The simulated result of training a configuration.

    Attributes:
        errors: Error after each epoch; None where the trial crashes.
        seconds: Time of an epoch.
        params: Number of parameters of the network.
        macs: Multiply-accumulates of the network.
    """

    errors: tuple[float | None, ...]
    seconds: float
    params: float = 1e6
    macs: float = 1e6


class Problem(Protocol):
    """A table, a surrogate or a formula in place of training."""

    def __call__(self, config: Config, epochs: int, seed: int) -> SimulatedResult:
        """Answers for the first ``epochs`` epochs."""
        ...


class SimulatedClock:
    """Time that passes only when a simulated trial ends."""

    def __init__(self, used: float = 0.0, start: float = 1_767_225_600.0) -> None:
        """Starts at ``used`` seconds of the budget, at a fixed moment (2026-01-01 UTC)."""
        self._used = used
        self._start = start - used

    def used(self) -> float:
        """Returns the seconds that the search has run."""
        return self._used

    def now(self) -> float:
        """Returns the simulated time, seconds since 1970."""
        return self._start + self._used

    stood_still = 0.0  # a simulated clock is never suspended

    def leave_out(self, seconds: float) -> None:
        """Subtracts seconds in which the search was suspended."""
        self._used -= seconds

    def advance(self, to: float) -> None:
        """Moves the clock to a later time."""
        self._used = max(self._used, to)


class SimulatedExecutor:
    """Runs trials in simulated time, as many in parallel as there are slots."""

    def __init__(self, problem: Problem, clock: SimulatedClock, slots: int = 1) -> None:
        """Takes the problem to answer from and the clock to move."""
        self.slots = slots
        self._problem = problem
        self._clock = clock
        self._due: list[tuple[float, int, list[Report]]] = []
        self._reached: dict[str, int] = {}

    def start(self) -> Facts:
        """Returns the facts of a simulation."""
        return Facts(
            data=Data(name="simulated", fingerprint="", split_fingerprint=""),
            hardware=Hardware(device="simulated"),
            versions={},
            width=0,
            train={},
        )

    def submit(self, spec: TrialSpec) -> None:
        """Computes when the trial will end; a promoted configuration continues."""
        answer = self._problem(spec.config, spec.epochs, spec.seed)
        begun = min(self._reached.get(spec.config_id, 0), spec.epochs)
        reports: list[Report] = []
        for epoch in range(begun + 1, spec.epochs + 1):
            error = answer.errors[epoch - 1]
            if error is None:
                reports.append(TrialEnded(spec.trial, None, reason=f"simulated crash in epoch {epoch}"))
                break
            reports.append(EpochDone(spec.trial, epoch, _metrics(error, answer)))
        else:
            self._reached[spec.config_id] = spec.epochs
            final = answer.errors[spec.epochs - 1]
            reports.append(TrialEnded(spec.trial, final, _final(final or 0.0, answer, begun, spec.epochs)))
        end = self._clock.used() + answer.seconds * max(len(reports) - 1, 0)
        heapq.heappush(self._due, (end, spec.trial, reports))

    def prepare(self, spec: TrialSpec) -> None:
        """Does nothing."""

    def poll(self, timeout: float) -> list[Report]:
        """Moves the clock to the end of the next trial."""
        if not self._due:
            self._clock.advance(self._clock.used() + timeout)
            return []
        end, _, reports = heapq.heappop(self._due)
        self._clock.advance(end)
        return reports

    def pause(self) -> None:
        """Stops running trials and loses their epochs; there are no checkpoints to keep them."""
        self._due = [(self._clock.used(), trial, [TrialPaused(trial)]) for _, trial, _ in self._due]

    def close(self) -> None:
        """Does nothing."""
        self._due.clear()


def _metrics(error: float, answer: SimulatedResult) -> dict[str, float]:
    return {
        "train_loss": error,
        "val_loss": error,
        "top1": 1.0 - error,
        "top5": 1.0 - error / 2,
        "lr": 0.0,
        "train_seconds": answer.seconds,
        "val_seconds": 0.0,
    }


def _final(error: float, answer: SimulatedResult, begun: int, epochs: int) -> dict[str, float]:
    figures = _metrics(error, answer)
    return {
        **{key: figures[key] for key in ("val_loss", "train_loss", "top1", "top5")},
        "train_seconds": answer.seconds * (epochs - begun),
        "peak_memory": 0.0,
        "from_epoch": float(begun),
        "params": answer.params,
        "macs": answer.macs,
    }
