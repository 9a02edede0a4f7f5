"""Estimates from measurements how many trials fit into a time budget on this device."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import search_spaces
from nas.execution.choice import choose
from nas.execution.share import decide
from nas.optimizers import check
from nas.run import steps
from nas.search import costing, warm_start
from nas.search.session import getting_ready, worker_settings
from nas.util import output
from nas.util.errors import UserError
from search_spaces.points import cost_ends

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nas.execution.messages import Facts, Measurement
    from nas.optimizers.protocol import Fidelity
    from nas.run.steps import Step
    from nas.search.settings import SearchSettings
    from search_spaces.base import Config

_POINTS = ("cheapest", "default", "costliest")
_TYPICAL_SAMPLE = 3  # random configurations in place of the optimiser's proposals
_TRIAL_OVERHEAD = 0.2  # seconds between trials: checkpoint, journal, process turn-round; measured on a CPU


@dataclass(frozen=True)
class RungPlan:
    """One rung of a plan; numbers are for the typical configuration."""

    epochs: int
    new_epochs: int
    seconds: float
    trials: float


@dataclass(frozen=True)
class Plan:
    """An estimate of the trials in a time budget.

    Attributes:
        measured: Timings of the named points, and their mean over typical configurations.
        rungs: The rung table, lowest first.
        trials: Expected number of trials with typical configurations.
        least: Number of trials if all configurations cost as much as the costliest.
        most: Number of trials if all cost as little as the cheapest.
        baseline_seconds: Time of the baseline at all rungs.
        checkpoint_bytes: Most disk space for the checkpoints of one bracket, bytes.
        quota_bytes: The checkpoint quota, bytes.
        seconds: The time budget.
        workers: Number of trials at a time.
        sharing: Why this number of trials shares a GPU, "" if there was nothing to decide.
        then: Steps that follow the search.
        reserved: Seconds of the time budget reserved for them.
        confirmation: Time of their trainings, if each costs as much as the base architecture's.
    """

    facts: Facts
    measured: dict[str, Measurement]
    rungs: list[RungPlan]
    trials: float
    least: float
    most: float
    baseline_seconds: float
    checkpoint_bytes: int
    quota_bytes: int
    seconds: float
    workers: int = 1
    sharing: str = ""
    then: tuple[Step, ...] = ()
    reserved: float = 0.0
    confirmation: float = 0.0

    @property
    def advised_workers(self) -> int | None:
        """Number of trials at a time that would use idle CPU cores, None if none are idle or a GPU trains."""
        hardware = self.facts.hardware
        if hardware.device != "cpu" or not hardware.cores or not hardware.threads:
            return None
        fit = hardware.cores // hardware.threads
        return fit if fit > self.workers else None


def make(settings: SearchSettings, then: Sequence[Step] = ()) -> Plan:
    """Measures the device and makes the plan of a search and the steps that follow it.

    Raises:
        UserError: If the data, device, prior beliefs or earlier run are invalid.
    """
    space = search_spaces.get(settings.space.space)
    check(settings.choice.optimizer, space, settings.smac)
    objectives = costing.resolve(settings)
    if settings.choice.warm_start is not None:
        warm_start.gather(settings.choice.warm_start, space)
    points = {**cost_ends(space), "default": space.default}
    sample = space.sample(_TYPICAL_SAMPLE, seed=settings.choice.seed)
    with contextlib.ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory())
        trials = costing.trial_settings(settings, objectives, worker_settings(settings, Path(scratch)))
        shared = stack.enter_context(
            contextlib.closing(decide(settings.machine, trials, None, settings.budget.seconds))
        )
        executor = stack.enter_context(contextlib.closing(choose(settings.machine, trials, shared)))
        output.doing(getting_ready(settings))
        facts = executor.start()
        costing.prepare(settings, objectives, executor, facts, stack)
        measured = {}
        for name in _POINTS:
            output.doing(f"measuring the {name} configuration")
            measured[name] = executor.measure(points.get(name, name))  # searched for if unnamed
        output.doing(f"measuring {len(sample)} random configurations")
        measured["typical"] = _mean(_drawn(executor.measure, sample))
        workers = executor.wanted
    together = shared.gain * shared.gpus if shared.levels else float(workers)
    return arrange(settings, facts, measured, workers, together, shared.reason, then)


def arrange(
    settings: SearchSettings,
    facts: Facts,
    measured: dict[str, Measurement],
    workers: int = 1,
    together: float | None = None,
    sharing: str = "",
    then: Sequence[Step] = (),
) -> Plan:
    """Makes a plan from measurements.

    Args:
        settings: The search's settings.
        facts: Facts that the trial process reported.
        measured: Timings of ``cheapest``, ``default``, ``costliest`` and ``typical``.
        workers: Number of trials at a time.
        together: Throughput of all trials relative to the one measured alone; None: their number.
        sharing: Why this number of trials shares a GPU.
        then: Steps that follow the search.
    """
    fidelity = settings.fidelity
    shares = bracket(fidelity, settings.choice.optimizer, settings.smac.brackets)
    baseline = sum(_seconds(measured["default"], new) for new in _steps(fidelity).values())
    together = float(workers) if together is None else together
    training = _seconds(measured["default"], fidelity.max_epochs)
    reserved = steps.reserved_seconds(then, settings.budget.seconds, training)
    left = max(together * (settings.budget.seconds - reserved) - baseline, 0.0)

    def rounds(point: Measurement) -> float:
        return left / sum(_seconds(point, new) * count for (_, new), count in shares.items())

    typical = rounds(measured["typical"])
    by_rung: dict[int, float] = {}
    for (epochs, _), count in shares.items():
        by_rung[epochs] = by_rung.get(epochs, 0.0) + count * typical
    per_round = sum(shares.values())
    return Plan(
        facts=facts,
        measured=measured,
        rungs=[
            RungPlan(epochs, new, _seconds(measured["typical"], new), by_rung.get(epochs, 0.0))
            for epochs, new in _steps(fidelity).items()
        ],
        trials=typical * per_round,
        least=rounds(measured["costliest"]) * per_round,
        most=rounds(measured["cheapest"]) * per_round,
        baseline_seconds=baseline,
        checkpoint_bytes=round(max(shares.values()) + 2) * workers * measured["costliest"].checkpoint_bytes,
        quota_bytes=settings.machine.quota_bytes,
        seconds=settings.budget.seconds,
        workers=workers,
        sharing=sharing,
        then=tuple(then),
        reserved=reserved,
        confirmation=steps.trainings(then) * training,
    )


def _drawn(measure: Callable[[Config], Measurement], sample: list[Config]) -> list[Measurement]:
    """Measures the configurations that can be trained; a search records the others as crashes.

    Raises:
        UserError: If none can be trained.
    """
    found, failed = [], None
    for config in sample:
        try:
            found.append(measure(config))
        except UserError as error:
            failed = error
    if failed is not None and not found:
        raise failed
    return found


def bracket(fidelity: Fidelity, optimizer: str, brackets: str) -> dict[tuple[int, int], float]:
    """Returns the trials of one round of the optimiser.

    Args:
        fidelity: The rungs.
        optimizer: Name of the optimiser.
        brackets: ``halving`` or ``hyperband``.

    Returns:
        Number of trials by (epochs, epochs newly trained): a promoted configuration continues.
    """
    rungs = fidelity.rungs
    if optimizer == "random":
        return {(rungs[-1], rungs[-1]): 1.0}
    starts = range(len(rungs)) if brackets == "hyperband" else range(1)
    trials: dict[tuple[int, int], float] = {}
    for start in starts:
        height = len(rungs) - start
        # Li et al. 2018 (arXiv 1603.06560), algorithm 1: a bracket of s + 1 rungs starts with
        # ceil((s_max + 1) / (s + 1) * eta^s) configurations.
        first = -(-len(rungs) * fidelity.eta ** (height - 1) // height)
        for step in range(height):
            epochs = rungs[start + step]
            new = epochs - (rungs[start + step - 1] if step else 0)
            count = max(first // fidelity.eta**step, 1)
            trials[epochs, new] = trials.get((epochs, new), 0.0) + count
    return trials


def _steps(fidelity: Fidelity) -> dict[int, int]:
    """Returns the epochs newly trained at each rung, by the rung's epochs."""
    below = (0, *fidelity.rungs)
    return {epochs: epochs - before for before, epochs in zip(below, fidelity.rungs, strict=False)}


def _seconds(point: Measurement, epochs: int) -> float:
    return _TRIAL_OVERHEAD + point.build_seconds + epochs * (point.train_seconds + point.val_seconds)


def _mean(points: list[Measurement]) -> Measurement:
    from nas.execution.messages import Measurement

    count = len(points)
    return Measurement(
        train_seconds=sum(p.train_seconds for p in points) / count,
        val_seconds=sum(p.val_seconds for p in points) / count,
        build_seconds=sum(p.build_seconds for p in points) / count,
        checkpoint_bytes=max(p.checkpoint_bytes for p in points),
    )
