"""Costs in a search: counting before training, metrics of trials, the front's file."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import search_spaces
from nas.costs import feasible, smallest
from nas.costs.counter import Counter
from nas.execution.counted import CountedNetwork
from nas.execution.settings import Measured
from nas.optimizers.objectives import Costs
from nas.run.objectives import COST, EPOCH_SECONDS, LATENCY, MEASURED, costs_of, format_cost, title
from nas.util import output
from nas.util.errors import SettingError, UserError, setting
from nas.util.quantities import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nas.execution.messages import Facts
    from nas.execution.protocol import MeasuringExecutor
    from nas.execution.settings import MachineSettings, WorkerSettings
    from nas.run.folder import Run
    from nas.run.objectives import Objectives
    from nas.run.state import SearchState
    from nas.search.settings import SearchSettings
    from search_spaces.base import Config, SearchSpace


@dataclass(frozen=True)
class SearchCosts:
    """The costs of one search.

    Attributes:
        objectives: The objectives and limits.
        for_optimizer: The same in the form that the optimiser needs.
        counter: Counts configurations.
        notes: Notes for the user at the start, one line each.
    """

    objectives: Objectives
    for_optimizer: Costs
    counter: Counter
    notes: tuple[str, ...] = ()

    def metrics(self, config: Config, metrics: Mapping[str, float]) -> dict[str, float]:
        """Adds the costs counted before a trial to its metrics."""
        if set(self.objectives.names) <= set(self.for_optimizer.measured):
            return dict(metrics)
        known = self.for_optimizer.known([config])[0]
        counted = {COST + name: known[name] for name in self.objectives.names if name in known}
        return {**metrics, **{name: value for name, value in counted.items() if math.isfinite(value)}}

    def measured(self, state: SearchState, config_id: str, epochs: int) -> dict[str, float]:
        """Returns the costs that earlier trials of a configuration measured, which are not measured again."""
        trial = state.answered(config_id, epochs)
        found = {} if trial is None else costs_of(trial)
        return {COST + name: value for name, value in found.items() if name in self.for_optimizer.measured}


def resolve(settings: SearchSettings) -> Objectives | None:
    """Returns objectives and limits besides the error, checked before anything is loaded; None for none.

    Raises:
        UserError: If the space has no such cost, or it cannot be measured here.
    """
    if not settings.costs.active:
        return None
    found = settings.costs.resolve(search_spaces.get(settings.space.space))
    if LATENCY in found.names and settings.costs.latency_command is None:
        _refuse_neighbours(settings.machine)
    return found


def machine_settings(settings: SearchSettings) -> MachineSettings:
    """Returns where trials run: one per GPU if a latency is measured."""
    wanted = settings.machine
    timed_here = LATENCY in settings.costs.measured and settings.costs.latency_command is None
    return replace(wanted, trials_per_gpu=1) if timed_here and wanted.trials_per_gpu == "auto" else wanted


def trial_settings(
    settings: SearchSettings, objectives: Objectives | None, wanted: WorkerSettings
) -> WorkerSettings:
    """Adds the costs to measure to the settings of trial processes."""
    if objectives is None or not settings.costs.measured:
        return wanted
    return replace(
        wanted,
        measured=Measured(settings.costs.measured, objectives.network, settings.costs.latency_command),
    )


def prepare(
    settings: SearchSettings,
    objectives: Objectives | None,
    executor: MeasuringExecutor,
    facts: Facts,
    stack: contextlib.ExitStack,
    *,
    run: Run | None = None,
) -> SearchCosts | None:
    """Prepares the counting of costs, and checks how much of the space the limits leave.

    Args:
        settings: All settings.
        objectives: Objectives and limits, None for the error alone.
        executor: Where trials will run.
        facts: Facts that the trial process reported.
        stack: Ends the counting process.
        run: The run that is resumed, whose limits have been checked; None for a new one.

    Raises:
        UserError: If no configuration is within the limits.
    """
    if objectives is None:
        return None
    space = search_spaces.get(settings.space.space)
    counter = Counter(
        CountedNetwork.of(settings.space.space, objectives.network, facts.data, facts.width, objectives.names)
    )
    stack.callback(counter.close)
    for_optimizer = Costs(objectives.costs, objectives.limits, counter.costs, settings.costs.measured)
    costs = SearchCosts(objectives, for_optimizer, counter)
    if run is not None:
        counter.keep_in(run.costs_jsonl)
        return costs
    notes: list[str] = []
    if not set(objectives.names) <= set(MEASURED):
        output.doing("counting what networks cost")
        notes += _feasible_notes(settings, objectives, space, counter)
        notes += _baseline_notes(objectives, space, counter)
    notes += _measured_notes(settings, objectives, space, counter, executor)
    return replace(costs, notes=tuple(notes))


def _feasible_notes(
    settings: SearchSettings, objectives: Objectives, space: SearchSpace, counter: Counter
) -> list[str]:
    limits = {name: limit for name, limit in objectives.limits.items() if name not in MEASURED}
    if not limits:
        return []
    found = feasible.find(space, counter, limits)
    feasible.refuse_none(found, limits, settings.costs.given, objectives.network)
    if len(found.fitting) >= feasible.FEW:
        return []
    how = "" if found.every else f" of the {found.counted:,} that were counted"
    few = counted(len(found.fitting), "configuration")
    keep = "keeps" if len(found.fitting) == 1 else "keep"
    return [f"only {few}{how} {keep} the limits: a search may soon be exhausted"]


def _measured_notes(
    settings: SearchSettings,
    objectives: Objectives,
    space: SearchSpace,
    counter: Counter,
    executor: MeasuringExecutor,
) -> list[str]:
    limits = {name: limit for name, limit in objectives.limits.items() if name in MEASURED}
    if not limits:
        return []

    def measure(config: Config) -> dict[str, float]:
        try:
            found = executor.costs(config) if set(limits) - {EPOCH_SECONDS} else {}
            if EPOCH_SECONDS in limits:
                found[EPOCH_SECONDS] = executor.measure(config).train_seconds
        except UserError as error:
            raise SettingError(*settings.costs.given[next(iter(limits))], str(error)) from None
        return found

    output.doing("measuring the smallest networks")
    return smallest.check(smallest.smallest(space, counter), measure, limits, settings.costs.given)


def _baseline_notes(objectives: Objectives, space: SearchSpace, counter: Counter) -> list[str]:
    costs = counter.costs([space.default])[0]
    beyond = [
        f"{format_cost(name, costs[name])} {title(name)}, limit {format_cost(name, limit)}"
        for name, limit in objectives.limits.items()
        if name in costs and costs[name] > limit
    ]
    if not beyond:
        return []
    return [
        f"the base architecture is beyond the limits ({'; '.join(beyond)}): it is trained as the measure of "
        "all others, and never leads"
    ]


def _refuse_neighbours(wanted: MachineSettings) -> None:
    """Refuses to time networks while others train on the same device.

    Raises:
        UserError: If others would; it names the setting.
    """
    rule = (
        f"a latency measured while other trials use the device says little; leave it out, or give "
        f"{setting('latency_command')}"
    )
    alone = {
        "trials_per_gpu": (1, "auto"),
        "workers": (None, 1),
        "dask_scheduler": ("none",),
        "cluster": ("none",),
    }
    for name, values in alone.items():
        if (given := getattr(wanted, name)) not in values:
            raise SettingError(name, given, rule)
