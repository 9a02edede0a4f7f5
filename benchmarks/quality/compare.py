"""Runs races of optimisers and keeps their traces."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import tyro

from benchmarks.quality.opponents import OPPONENTS, make
from benchmarks.quality.race import race
from benchmarks.quality.registry import PROBLEMS, chosen, load
from nas.util.errors import UserError, first_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HERE = Path(__file__).parent
MARKS = (10, 20, 40, 80)
OURS = "ours"


@dataclass(frozen=True)
class CompareSettings:
    """What to race."""

    problem: tuple[str, ...] = ("nexception",)
    """Names of benchmarks.quality.registry; all, or aside: those that no setting was chosen by."""
    opponents: tuple[str, ...] = tuple(OPPONENTS)
    """Who races, by name; `NAME:setting=value,...` changes settings of ours."""
    seeds: int = 20
    """Races of each."""
    evaluations: float = 80
    """Length of a race, in mean trainings at the highest rung."""
    processes: int = 2
    """Races at the same time."""
    traces: Path = field(default=HERE.parent / "results" / "races.jsonl")
    """Where the traces go; what is there already is not run again, but ours is if its code has changed."""


def at(steps: Sequence[tuple[float, float]], mark: float) -> float:
    """Returns the regret after some full evaluations; before the first incumbent, that of the first."""
    reached = [regret for paid, regret in steps if paid <= mark]
    return reached[-1] if reached else steps[0][1]


def edition(opponent: str) -> str:
    """Returns a hash of the default search's code, which changes with its versions; "" for the others."""
    if opponent.partition(":")[0] != OURS:
        return ""
    digest = hashlib.sha256()
    for room in ("optimizers", "run", "search"):
        for path in sorted((HERE.parents[1] / "nas" / room).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:8]


def run(problem: str, opponent: str, seed: int, evaluations: float) -> dict[str, Any]:
    """One race, in a process of its own; of drawn functions, on that of the seed."""
    begin = time.process_time()
    row: dict[str, Any] = {
        "problem": problem,
        "opponent": opponent,
        "edition": edition(opponent),
        "seed": seed,
        "evaluations": evaluations,
        "date": datetime.now(timezone.utc).date().isoformat(),
    }
    try:
        steps = race(load(problem, seed), make(opponent, evaluations), seed=seed, evaluations=evaluations)
    except Exception as error:  # one that fails must not end hours of races: the tables say how often
        row |= {"failed": f"{type(error).__name__}: {first_line(error)}", "steps": []}
    else:
        row["steps"] = [(round(paid, 3), round(regret, 6)) for paid, regret in steps]
    return {**row, "cpu_seconds": round(time.process_time() - begin, 2)}


def key(row: dict[str, Any]) -> tuple[Any, ...]:
    """Returns what identifies a race."""
    return row["problem"], row["opponent"], row.get("edition", ""), row["seed"], row["evaluations"]


def execute(options: CompareSettings) -> None:
    """Runs what is missing, all opponents and problems of a seed before the next one's."""
    done = {key(row) for row in read(options.traces) if not row.get("failed")}
    wanted = [
        (problem, opponent, seed, options.evaluations)
        for seed in range(options.seeds)
        for problem in chosen(options.problem)
        for opponent in options.opponents
    ]
    editions = {opponent: edition(opponent) for opponent in options.opponents}
    missing = [one for one in wanted if (*one[:2], editions[one[1]], *one[2:]) not in done]
    options.traces.parent.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(options.processes, context) as pool, options.traces.open("a") as file:
        for future in [pool.submit(run, *one) for one in missing]:
            file.write(json.dumps(future.result(), separators=(",", ":")) + "\n")
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


def standing(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The races that count: of ours, those of the last edition; of one that failed, the last try."""
    rows = list({key(row): row for row in rows}.values())
    last = {row["opponent"]: row.get("edition", "") for row in rows}
    return [row for row in rows if row.get("edition", "") == last[row["opponent"]]]


def main() -> None:
    """Runs what is missing and prints the tables."""
    options = tyro.cli(CompareSettings, description=__doc__)
    try:
        for name in options.opponents:
            make(name)
        for name in chosen(options.problem):
            load(name)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    execute(options)
    rows = [row for row in standing(read(options.traces)) if row["opponent"] in options.opponents]
    for problem in chosen(options.problem):
        raced = [row for row in rows if row["problem"] == problem and not row.get("failed")]
        if not raced:
            continue
        print(f"{problem}: {PROBLEMS[problem].meaning}")
        print(table(regrets(raced)).round(4).to_string())
        seconds = pd.DataFrame(raced).groupby("opponent").cpu_seconds.mean().round(1)
        print("CPU seconds a race:", ", ".join(f"{name} {value}" for name, value in seconds.items()), "\n")


if __name__ == "__main__":
    main()
