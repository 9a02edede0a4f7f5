"""Which settings choose best? Races of the default search and of changes to it on random functions.

``python -m benchmarks.quality.levers random_probability=0.2 model=forest`` races each change against the
default on the same functions (``benchmarks.quality.drawn``), so that the tables of the comparison stay
unseen, and prints mean regret with the paired difference and its standard error.
"""

from __future__ import annotations

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import tyro

from benchmarks.quality import variants
from benchmarks.quality.drawn import DrawnFunction
from benchmarks.quality.opponents import make, ours
from benchmarks.quality.race import race
from benchmarks.quality.registry import load
from benchmarks.quality.traces import MARKS as SHORT
from benchmarks.quality.traces import at, read
from nas.optimizers.protocol import Fidelity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.quality.race import Problem

HERE = Path(__file__).parent
DEFAULT = "default"
MARKS = (*SHORT, 160, 300)


@dataclass(frozen=True)
class LeversSettings:
    """What to race."""

    changes: tyro.conf.Positional[tuple[str, ...]] = ()
    """Each setting=value,... of the default search, a variant=number (benchmarks.quality.variants),
    replicates=share (the default of a race has none), or the name of an opponent."""
    problem: str = "drawn"
    """A name of benchmarks.quality.registry; those kept aside are there to look, not to tune."""
    functions: int = 16
    """Random functions, or seeds; one race each."""
    first: int = 0
    """Number of the first function."""
    rungs: tuple[int, ...] = (2, 6, 18)
    """Epochs of the rungs; the last alone for a search without any."""
    evaluations: float = 80
    """Length of a race, in mean trainings at the highest rung."""
    processes: int = 2
    """Races at the same time."""
    traces: Path = field(default=HERE / "work" / "levers.jsonl")
    """Where regrets go; what is there already is not run again."""


def regret(problem: str, change: str, function: int, rungs: Sequence[int], evaluations: float) -> list[float]:
    """Regret of one race at every mark."""
    fidelity = Fidelity(rungs[0], rungs[-1], rungs[1] // rungs[0] if len(rungs) > 1 else 3)
    judge = _judge(problem, function, fidelity)
    name, _, value = change.partition("=")
    if (variant := variants.build(change, judge, function)) is not None:
        judge, maker = variant
    else:
        own = change == DEFAULT or name == "replicates"
        maker = ours() if own else make(f"ours:{change}" if "=" in change else change)
    share = float(value) if name == "replicates" else 0.0
    steps = race(judge, maker, seed=function, evaluations=evaluations, replicates=share)
    return [at(steps, mark) for mark in MARKS if mark <= evaluations]


def _judge(problem: str, function: int, fidelity: Fidelity) -> Problem:
    if problem == "drawn":
        return DrawnFunction(function, fidelity)
    return load(problem, function, fidelity if problem == "nexception" else None)


def execute(options: LeversSettings) -> pd.DataFrame:
    """Runs what is missing; gives regrets by change, function and mark."""
    options.traces.parent.mkdir(parents=True, exist_ok=True)
    where = {
        "problem": options.problem,
        "rungs": list(options.rungs),
        "evaluations": options.evaluations,
    }
    rows: list[dict[str, Any]] = [r for r in read(options.traces) if where.items() <= r.items()]
    changes = [DEFAULT, *options.changes]
    done = {(r["change"], r["function"]) for r in rows}
    functions = range(options.first, options.first + options.functions)
    missing = [(c, f) for f in functions for c in changes if (c, f) not in done]
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(options.processes, context) as pool, options.traces.open("a") as file:
        futures = [
            pool.submit(regret, options.problem, *key, options.rungs, options.evaluations) for key in missing
        ]
        for (change, function), future in zip(missing, futures, strict=True):
            row = {"change": change, "function": function, **where, "regrets": future.result()}
            file.write(json.dumps(row) + "\n")
            file.flush()
            rows.append(row)
    chosen = [
        {"change": r["change"], "function": r["function"], "mark": mark, "regret": value}
        for r in rows
        if r["change"] in changes and r["function"] in functions
        for mark, value in zip(MARKS, r["regrets"], strict=False)
    ]
    return pd.DataFrame(chosen)


def table(frame: pd.DataFrame) -> str:
    """Markdown: mean regret by mark and over all, in points; paired difference from the default."""
    wide = 100 * frame.pivot_table(index="change", columns="mark", values="regret")
    means = 100 * frame.groupby(["change", "function"]).regret.mean().unstack("change")
    lines = [
        "| change | " + " | ".join(map(str, wide.columns)) + " | mean | from the default |",
        "|---" * (len(wide.columns) + 3) + "|",
    ]
    for change in means.mean().sort_values().index:
        gap = means[change] - means[DEFAULT]
        apart = "" if change == DEFAULT else f"{gap.mean():+.2f} ± {gap.std(ddof=1) / np.sqrt(len(gap)):.2f}"
        marks = " | ".join(f"{value:.2f}" for value in wide.loc[change])
        lines.append(f"| {change} | {marks} | {means[change].mean():.2f} | {apart} |")
    return "\n".join(lines)


def main(options: LeversSettings) -> None:
    """Races, and prints the table."""
    print(table(execute(options)))


if __name__ == "__main__":
    main(tyro.cli(LeversSettings, description=__doc__))
