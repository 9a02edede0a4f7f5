"""Runs races of optimisers and keeps their traces."""

from __future__ import annotations

import json
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
import tyro

from benchmarks.quality.opponents import OPPONENTS, make
from benchmarks.quality.problems import load
from benchmarks.quality.race import race
from nas.util.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HERE = Path(__file__).parent
MARKS = (10, 20, 40, 80)
ProblemName = Literal["nexception", "nasbench201"]


@dataclass(frozen=True)
class Options:
    """What to race."""

    problem: ProblemName = "nexception"
    """Our own space, or NAS-Bench-201."""
    opponents: tuple[str, ...] = tuple(OPPONENTS)
    """Who races, by name; `NAME:setting=value,...` changes settings of ours."""
    seeds: int = 20
    """Races of each."""
    evaluations: float = 80
    """Length of a race, in mean trainings at the highest rung."""
    processes: int = 2
    """Races at the same time."""
    traces: Path = field(default=HERE / "work" / "traces.jsonl")
    """Where the traces go; what is there already is not run again."""


def at(steps: Sequence[tuple[float, float]], mark: float) -> float:
    """Regret after so many full evaluations; before the first incumbent, that of the first."""
    reached = [regret for paid, regret in steps if paid <= mark]
    return reached[-1] if reached else steps[0][1]


def run(problem: str, opponent: str, seed: int, evaluations: float) -> dict[str, Any]:
    """One race, in a process of its own."""
    begin = time.process_time()
    steps = race(load(problem), make(opponent), seed=seed, evaluations=evaluations)
    return {
        "problem": problem,
        "opponent": opponent,
        "seed": seed,
        "evaluations": evaluations,
        "cpu_seconds": round(time.process_time() - begin, 2),
        "steps": [(round(paid, 3), round(regret, 6)) for paid, regret in steps],
    }


def execute(options: Options) -> None:
    """Runs what is missing."""
    done = {(row["problem"], row["opponent"], row["seed"]) for row in read(options.traces)}
    wanted = [(options.problem, o, s) for s in range(options.seeds) for o in options.opponents]
    missing = [key for key in wanted if key not in done]
    options.traces.parent.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(options.processes, context) as pool, options.traces.open("a") as file:
        futures = [pool.submit(run, *key, options.evaluations) for key in missing]
        for future in futures:
            file.write(json.dumps(future.result()) + "\n")
            file.flush()


def read(path: Path) -> list[dict[str, Any]]:
    """Traces so far."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def regrets(rows: Iterable[dict[str, Any]], marks: Sequence[float] = MARKS) -> pd.DataFrame:
    """Long table: regret of every race at every mark."""
    return pd.DataFrame(
        [
            {
                **{k: row[k] for k in ("problem", "opponent", "seed")},
                "evaluations": mark,
                "regret": at(row["steps"], mark),
            }
            for row in rows
            for mark in marks
        ]
    )


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean regret and its standard error by opponent and mark, best at the last mark first."""
    wide = frame.pivot_table(index="opponent", columns="evaluations", values="regret")
    wide["n"] = frame.groupby("opponent").seed.nunique()
    wide["se"] = frame[frame.evaluations == frame.evaluations.max()].groupby("opponent").regret.sem()
    return wide.sort_values(frame.evaluations.max())


def main() -> None:
    """Runs what is missing and prints the table."""
    options = tyro.cli(Options, description=__doc__)
    try:
        for name in options.opponents:
            make(name)
        load(options.problem)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    execute(options)
    rows = [
        row
        for row in read(options.traces)
        if row["problem"] == options.problem and row["opponent"] in options.opponents
    ]
    print(table(regrets(rows)).round(4).to_string())
    seconds = pd.DataFrame(rows).groupby("opponent").cpu_seconds.mean().round(1)
    print("CPU seconds a race:", ", ".join(f"{name} {value}" for name, value in seconds.items()))


if __name__ == "__main__":
    main()
