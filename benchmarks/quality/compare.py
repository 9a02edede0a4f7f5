"""Runs races of optimisers and keeps their traces."""

from __future__ import annotations

import ast
import hashlib
import json
import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pandas as pd
import tyro

from benchmarks.quality.opponents import OPPONENTS, PLANNING, make
from benchmarks.quality.race import race
from benchmarks.quality.registry import PROBLEMS, chosen, load
from benchmarks.quality.traces import key, read, regrets, standing
from nas.search.settings import ChoiceSettings
from nas.util.errors import UserError, first_line

HERE = Path(__file__).parent
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
    traces: Path = field(default=HERE.parent / "results" / "races")
    """Folder of the traces, a file for each opponent; what is there is not run again, but ours is if its
    code has changed."""


def edition(opponent: str) -> str:
    """Returns a hash of the default search's code, whatever its docstrings say; "" for the others."""
    if not _is_ours(opponent):
        return ""
    digest = hashlib.sha256()
    for room in ("optimizers", "run", "search"):
        for path in sorted((HERE.parents[1] / "nas" / room).rglob("*.py")):
            digest.update(ast.dump(_Undocumented().visit(ast.parse(path.read_bytes()))).encode())
    return digest.hexdigest()[:8]


def further_seeds(opponent: str) -> float:
    """Returns the share of the epochs for further seeds: ours has its default, others have none."""
    return ChoiceSettings().replicates if _is_ours(opponent) else 0.0


def _is_ours(opponent: str) -> bool:
    """Whether it is the default search, with other settings or without."""
    return opponent.partition(":")[0] == OURS


class _Undocumented(ast.NodeTransformer):
    """Drops docstrings, those of attributes too: a plainer help text is no other optimiser."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        documents = isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        return None if documents else node


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
        steps = race(
            load(problem, seed),
            make(opponent, evaluations),
            seed=seed,
            evaluations=evaluations,
            replicates=further_seeds(opponent),
        )
    except Exception as error:  # one that fails must not end hours of races: the tables say how often
        row |= {"failed": f"{type(error).__name__}: {first_line(error)}", "steps": []}
    else:
        row["steps"] = [(round(paid, 3), round(regret, 6)) for paid, regret in steps]
    return {**row, "cpu_seconds": round(time.process_time() - begin, 2)}


def execute(options: CompareSettings) -> None:
    """Runs what is missing, all opponents and problems of a seed before the next one's.

    A longer race has run the shorter one as well, unless the opponent plans by the length.
    """

    def course(race: tuple[Any, ...]) -> tuple[Any, ...]:
        return race if race[1] == PLANNING else race[:-1]

    longest: dict[tuple[Any, ...], float] = {}
    for row in read(options.traces):
        if not row.get("failed"):
            longest[course(key(row))] = max(row["evaluations"], longest.get(course(key(row)), 0))
    editions = {opponent: edition(opponent) for opponent in options.opponents}

    def missing(problem: str, opponent: str, seed: int) -> bool:
        race = (problem, opponent, editions[opponent], seed, options.evaluations)
        return longest.get(course(race), 0) < options.evaluations

    wanted = [
        (problem, opponent, seed, options.evaluations)
        for seed in range(options.seeds)
        for problem in chosen(options.problem)
        for opponent in options.opponents
        if missing(problem, opponent, seed)
    ]
    options.traces.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(options.processes, context) as pool:
        for future in [pool.submit(run, *one) for one in wanted]:
            row = future.result()
            with (options.traces / f"{row['opponent'].partition(':')[0]}.jsonl").open("a") as file:
                file.write(json.dumps(row, separators=(",", ":")) + "\n")


def table(frame: pd.DataFrame) -> pd.DataFrame:
    """Mean regret and its standard error by opponent and mark, best at the last mark first."""
    wide = frame.pivot_table(index="opponent", columns="evaluations", values="regret")
    wide["n"] = frame.groupby("opponent").seed.nunique()
    wide["se"] = frame[frame.evaluations == frame.evaluations.max()].groupby("opponent").regret.sem()
    return wide.sort_values(frame.evaluations.max())


def main(argv: list[str] | None = None) -> None:
    """Runs what is missing and prints the tables."""
    options = tyro.cli(CompareSettings, args=argv, description=__doc__)
    try:
        if options.traces.is_file():
            raise UserError(f"--traces {options.traces}: must be a folder, is a file")
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
