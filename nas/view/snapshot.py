"""A search at one moment as plain values, shown by the live view and ``nas.status``."""

from __future__ import annotations

import math
import statistics
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from nas.run import learnt_rungs, steps
from nas.util.errors import UserError, one_line
from nas.view import front
from search_spaces.hyperparameters import differences

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nas.run.liveness import Liveness
    from nas.run.search_file import SearchFile
    from nas.run.state import SearchState, Trial
    from nas.view.front import FrontView


@dataclass(frozen=True)
class RunningTrial:
    """A running trial; ``eta_seconds`` is None until an epoch has been timed.

    Attributes:
        curve: Top-1 after each epoch so far, 0..1.
    """

    trial: int
    config_id: str
    origin: str
    epochs: int
    epochs_done: int
    seconds: float
    eta_seconds: float | None
    top1: float | None
    curve: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Rung:
    """All trials of one rung; errors are None if no trial succeeded."""

    epochs: int
    finished: int
    crashed: int
    running: int
    best_error: float | None
    median_error: float | None
    baseline_error: float | None


@dataclass(frozen=True)
class IncumbentSummary:
    """The incumbent, and the baseline after as many epochs."""

    trial: int
    config_id: str
    epochs: int
    error: float
    baseline_error: float | None
    found_after_seconds: float
    params: float
    macs: float
    baseline_params: float | None
    baseline_macs: float | None
    changes: list[tuple[str, Any, Any]]
    seeds: int = 1
    error_interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Snapshot:
    """The present state of a search.

    Attributes:
        status: See :class:`nas.run.liveness.Liveness`.
        stop_reason: Why it stopped, "" otherwise.
        training_share: Share of the time of all workers in which they trained or validated, 0..1.
        optimizer_share: Share of the time that the optimiser took, most of it while trials ran.
        host: Machine of the last session if it was killed, "" otherwise.
        silent_seconds: Seconds since that session's last sign of life.
        kept_seconds: Seconds of the time budget reserved for what follows the search.
        then: The steps that follow it.
        front: Summary of the front, None for a search by the error alone.
        misleading: What low rungs tell and where configurations begin because of it; "" if none is left out.
    """

    name: str
    status: str
    stop_reason: str
    space: str
    dataset: str
    device: str
    width: int
    optimizer: str
    budget_seconds: float
    used_seconds: float
    trial_limit: int | None
    finished: int
    crashed: int
    sessions: int
    running: list[RunningTrial]
    rungs: list[Rung]
    incumbent: IncumbentSummary | None
    training_share: float
    optimizer_share: float
    crash_reasons: list[str]
    workers: int
    host: str = ""
    silent_seconds: float = 0.0
    kept_seconds: float = 0.0
    then: list[str] = field(default_factory=list)
    front: FrontView | None = None
    misleading: str = ""

    def to_json(self) -> dict[str, Any]:
        """Returns nested plain values, without a front for a search by the error alone."""
        values = asdict(self)
        if self.front is None:
            del values["front"]
        return values


def take(
    state: SearchState,
    search: SearchFile,
    *,
    name: str,
    status: str,
    used: float,
    seen: Liveness | None = None,
) -> Snapshot:
    """Takes a snapshot.

    Args:
        state: State of the search.
        search: ``search.json``.
        name: The run's name.
        status: Its status.
        used: Seconds of the time budget used so far.
        seen: Its standing, with the machine and time of its last sign of life, if known.
    """
    elapsed = max(used, 1e-9)
    slot_seconds = state.slot_seconds + max(used - state.clock, 0.0) * state.slots
    return Snapshot(
        name=one_line(name),
        status=status,
        stop_reason=one_line(state.stopped),
        space=one_line(search.space.name),
        dataset=one_line(search.data.name),
        device=one_line(search.hardware.device),
        width=search.width,
        optimizer=one_line(search.settings.choice.optimizer),
        budget_seconds=search.limits.seconds,
        used_seconds=used,
        trial_limit=search.limits.trials,
        finished=state.finished,
        crashed=len(state.crashed),
        sessions=len(state.sessions),
        running=[_running(trial, state, used) for trial in state.running_trials()]
        if status == "running"
        else [],
        rungs=_rungs(state, search.rungs),
        incumbent=_incumbent(state, search),
        training_share=min(state.train_seconds / max(slot_seconds, 1e-9), 1.0),
        optimizer_share=min(state.ask_seconds / elapsed, 1.0),
        crash_reasons=[
            one_line(f"trial {number}: {state.trials[number].reason}") for number in state.crashed[-3:]
        ],
        workers=state.slots,
        host="" if seen is None else one_line(seen.host),
        silent_seconds=0.0 if seen is None else round(seen.silent_seconds, 3),
        kept_seconds=_kept(state, search),
        then=[one_line(step) for step in search.then or []],
        front=front.take(state, search),
        misleading=learnt_rungs.misleading(state, search),
    )


def _kept(state: SearchState, search: SearchFile) -> float:
    try:
        following = steps.parse(search.then or [])
    except UserError:  # of another version; the rest can still be shown
        return 0.0
    training = steps.training_seconds(state, search.rungs[-1]) if search.rungs else None
    return steps.reserved_seconds(following, search.limits.seconds, training)


def _running(trial: Trial, state: SearchState, used: float) -> RunningTrial:
    # A promoted configuration continues from the end of its last rung.
    done = max(trial.curve, default=min(state.reached.get(trial.config_id, 0), trial.epochs))
    eta = None
    if trial.curve:
        per_epoch = statistics.median(m["train_seconds"] + m["val_seconds"] for m in trial.curve.values())
        eta = per_epoch * max(trial.epochs - done, 0)
    return RunningTrial(
        trial=trial.trial,
        config_id=trial.config_id,
        origin=trial.origin,
        epochs=trial.epochs,
        epochs_done=done,
        seconds=max(used - trial.clock_started, 0.0),
        eta_seconds=eta,
        top1=trial.curve[done]["top1"] if trial.curve else None,
        curve=[top1 for _, seen in sorted(trial.curve.items()) if (top1 := seen.get("top1")) is not None],
    )


def _rungs(state: SearchState, rungs: Sequence[int]) -> list[Rung]:
    by_rung: dict[int, list[Trial]] = {epochs: [] for epochs in rungs}
    for trial in state.trials.values():
        if not trial.cached:
            by_rung.setdefault(trial.epochs, []).append(trial)
    table = []
    for epochs, trials in sorted(by_rung.items()):
        errors = [trial.error for trial in trials if trial.error is not None and not trial.repeat]
        baseline = state.baseline(epochs)
        table.append(
            Rung(
                epochs=epochs,
                finished=sum(trial.finished for trial in trials),
                crashed=sum(trial.status == "crashed" for trial in trials),
                running=sum(trial.status == "running" for trial in trials),
                best_error=min(errors, default=None),
                median_error=statistics.median(errors) if errors else None,
                baseline_error=None if baseline is None else baseline.error,
            )
        )
    return table


def _incumbent(state: SearchState, search: SearchFile) -> IncumbentSummary | None:
    if state.incumbent is None:
        return None
    trial = state.trials[state.incumbent]
    baseline = state.baseline(trial.epochs)
    error, seeds, interval = state.estimate
    assert error is not None
    return IncumbentSummary(
        trial=trial.trial,
        config_id=trial.config_id,
        epochs=trial.epochs,
        error=error,
        baseline_error=None if baseline is None else baseline.error,
        found_after_seconds=trial.clock_ended,
        params=trial.metrics.get("params", math.nan),
        macs=trial.metrics.get("macs", math.nan),
        baseline_params=None if baseline is None else baseline.metrics.get("params"),
        baseline_macs=None if baseline is None else baseline.metrics.get("macs"),
        changes=[(c.name, c.base, c.value) for c in differences(trial.config, search.space.default)],
        seeds=seeds,
        error_interval=interval,
    )
