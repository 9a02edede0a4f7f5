"""How long the optimiser takes to propose a trial, by the number of trials finished before.

Run with ``OMP_NUM_THREADS=1 python benchmarks/optimizer_ask.py``; it prints a Markdown table. The
objective is made up and instant, trials come one at a time. ``ask`` counts every proposal,
promotions too; ``new`` only those of new configurations by the model, the forest's training
included where an outcome made it due. ``--space benchmarks/wide_space.py:Wide`` times another space,
``--costs 1`` (or 2) a search of a front, whose costs are made up and take no time to count; half of the
configurations exceed the limit on the first. ``--processor`` gives processor time, for a shared machine.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import time
from typing import TYPE_CHECKING

import search_spaces
from nas.optimizers import create
from nas.optimizers.objectives import Costs
from nas.optimizers.protocol import Fidelity, Outcome
from nas.optimizers.settings import OptimizerSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nas.optimizers.protocol import Optimizer, Suggestion
    from search_spaces.base import Config, SearchSpace

    Record = list[tuple[Suggestion, Outcome]]

_SIZES = (50, 200, 1000, 3000)
_RANDOM = 1 - 1e-9  # at 1 there is no model, and so no rungs learnt: other brackets
CASES = {"5, 15, 45 epochs": Fidelity(5, 45, 3), "45 epochs only": Fidelity(45, 45, 3)}


def outcome_of(config: Config, epochs: int) -> Outcome:
    """A made-up error: some choices matter, more epochs help, the rest is noise."""
    noise = random.Random(f"{sorted(config.items())}/{epochs}").random()
    if "kernel_mid" not in config:
        parts = (random.Random(f"{item}").random() for item in config.items())
        return Outcome(0.2 + 0.3 * statistics.fmean(parts) + 0.5 / epochs + 0.05 * noise, 1.0)
    error = 0.4 + 0.1 * (config["stem"] == "conv") + 0.02 * abs(int(config["kernel_mid"]) - 7)
    return Outcome(error + 0.5 / epochs + 0.05 * noise, 1.0)


def made_up_costs(space: SearchSpace, n: int) -> Costs | None:
    """Returns made-up costs to which every choice contributes; None for ``n`` 0."""
    names = ("macs", "params")[:n]

    def known(configs: Sequence[Config]) -> list[dict[str, float]]:
        return [
            {
                name: math.exp(sum(random.Random(f"{name}/{item}").gauss(0, 1) for item in config.items()))
                for name in names
            }
            for config in configs
        ]

    middle = statistics.median(costs[names[0]] for costs in known(space.sample(200, 0))) if n else 0.0
    return Costs(names, {names[0]: middle}, known) if n else None


def random_history(space: SearchSpace, fidelity: Fidelity, trials: int, costs: Costs | None = None) -> Record:
    """Returns trials of the same brackets with random configurations: a history without fitting models."""
    optimizer = create("smac", space, fidelity, 0, OptimizerSettings(random_probability=_RANDOM), costs=costs)
    return [step(optimizer)[:2] for _ in range(trials)]


def step(
    optimizer: Optimizer, clock: Callable[[], float] = time.perf_counter
) -> tuple[Suggestion, Outcome, float]:
    """Asks and tells one trial; also returns the seconds of the ask."""
    begin = clock()
    suggestion = optimizer.ask()
    seconds = clock() - begin
    assert suggestion is not None
    outcome = outcome_of(suggestion.config, suggestion.epochs)
    optimizer.tell(suggestion, outcome)
    return suggestion, outcome, seconds


def measure(
    space: SearchSpace,
    fidelity: Fidelity,
    history: Record,
    asks: int,
    costs: Costs | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Returns seconds: replay, then median of asks, and median and maximum of new configurations."""
    optimizer = create("smac", space, fidelity, 0, costs=costs)
    begin = clock()
    for suggestion, outcome in history:
        optimizer.replay(suggestion)
        optimizer.tell(suggestion, outcome)
    replay = clock() - begin
    steps = [step(optimizer, clock) for _ in range(asks)]
    new = [seconds for suggestion, _, seconds in steps if suggestion.origin.startswith("acquisition")]
    return [replay, statistics.median(seconds for *_, seconds in steps), statistics.median(new), max(new)]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--asks", type=int, default=52, help="proposals to time (default: 52, four brackets)")
    parser.add_argument("--space", default="nexception", help="search space (default: nexception)")
    parser.add_argument("--costs", type=int, default=0, choices=(0, 1, 2), help="costs beside the error")
    parser.add_argument("--processor", action="store_true", help="processor time, not time on the wall")
    parser.add_argument("--sizes", type=int, nargs="+", default=_SIZES, help="numbers of finished trials")
    options = parser.parse_args()
    clock = time.process_time if options.processor else time.perf_counter
    space = search_spaces.get(options.space)
    costs = made_up_costs(space, options.costs)
    print("| rungs | finished trials | replay, s | ask, median ms | new, median ms | new, max ms |")
    print("|---|---|---|---|---|---|")
    for name, fidelity in CASES.items():
        history = random_history(space, fidelity, max(options.sizes), costs)
        for size in options.sizes:
            replay, *seconds = measure(space, fidelity, history[:size], options.asks, costs, clock)
            figures = " | ".join(f"{1000 * value:.0f}" for value in seconds)
            print(f"| {name} | {size} | {replay:.2f} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
