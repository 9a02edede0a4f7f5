"""Does ``--warm-start`` help, and what if the earlier run misleads?

``python -m benchmarks.quality.warm_start`` races the default search on NAS-Bench-201's CIFAR-100: cold, with
what a search on CIFAR-10 has found, and with those errors inverted, so that the best appears worst.
"""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import pandas as pd
import tyro

from benchmarks.quality.compare import table
from benchmarks.quality.opponents import ours
from benchmarks.quality.problems import NASBench201
from benchmarks.quality.race import race, search
from benchmarks.quality.traces import MARKS, at
from nas.optimizers import create
from nas.optimizers.protocol import Earlier
from nas.search.warm_start import expected

if TYPE_CHECKING:
    from nas.optimizers.protocol import Fidelity, Optimizer
    from search_spaces.base import SearchSpace

Start = Literal["cold", "warm", "misled"]


@dataclass(frozen=True)
class WarmStartSettings:
    """What to race."""

    seeds: int = 20
    """Races of each."""
    earlier: float = 40
    """Length of the earlier search on CIFAR-10, in mean full trainings."""
    processes: int = 2
    """Races at the same time."""


def regrets(way: Start, number: int, earlier: float) -> list[float]:
    """Regret of one race on CIFAR-100 at every mark."""
    known: list[Earlier] = []
    if way != "cold":
        source = NASBench201("cifar10")
        state, _ = search(source, ours(), seed=1000 + number, evaluations=earlier)
        known = expected(state, source.fidelity.rungs, source.space)
    if way == "misled":
        errors = [one.error for one in known]
        known = [Earlier(one.config, min(errors) + max(errors) - one.error) for one in known]

    def make(space: SearchSpace, fidelity: Fidelity, seed: int) -> Optimizer:
        return create("smac", space, fidelity, seed, earlier=known)

    steps = race(NASBench201("cifar100"), make, seed=number, evaluations=MARKS[-1])
    return [at(steps, mark) for mark in MARKS]


def main(options: WarmStartSettings) -> None:
    """Races, and prints mean regret by mark, in points."""
    races = [(way, seed) for seed in range(options.seeds) for way in get_args(Start)]
    with ProcessPoolExecutor(options.processes, multiprocessing.get_context("forkserver")) as pool:
        futures = [pool.submit(regrets, *one, options.earlier) for one in races]
        rows = [
            {"opponent": way, "seed": seed, "evaluations": mark, "regret": 100 * value}
            for (way, seed), future in zip(races, futures, strict=True)
            for mark, value in zip(MARKS, future.result(), strict=True)
        ]
    print(table(pd.DataFrame(rows)).round(2).to_string())


if __name__ == "__main__":
    main(tyro.cli(WarmStartSettings, description=__doc__))
