"""Races for the front of error and cost, or within a limit: runs what is missing, prints the tables.

``python -m benchmarks.quality.front_compare --problem nexception-macs`` races for hypervolume; with
``--share 0.1`` for the least error among the tenth of all configurations that cost least. The tables of
docs/objectives.md are made of all traces by ``python -m benchmarks.quality.front_standings``.
"""

from __future__ import annotations

import json
import math
import sys
import time
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
import tyro

from benchmarks.quality import compare, fronts
from benchmarks.quality.compare import OURS
from benchmarks.quality.front_opponents import FRONT, LIMITED, make
from benchmarks.quality.standings import p_value
from benchmarks.quality.traces import read
from nas.util.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

FRONT_MARKS, LIMIT_MARKS = (20, 40, 80), (10, 20, 40)
_OWN = OURS, "single", "untrained"  # races of this project's optimiser, which changes from day to day


@dataclass(frozen=True)
class FrontCompareSettings:
    """What to race."""

    problem: Literal[
        "nasbench201-latency",
        "nasbench201-params",
        "nexception-macs",
        "drawn",
        "opposed",
        "unrelated",
        "weak",
    ] = "drawn"
    """Table, surrogate, or a random function for each seed; of the last three the low rungs mislead."""
    share: float | None = None
    """Limit: the share of all configurations that keep it; none: error and cost are both weighed."""
    opponents: tuple[str, ...] = ()
    """Who races, by name; all by default. `ours:setting=value,...` changes settings of ours."""
    seeds: int = 20
    """Races of each."""
    first_seed: int = 0
    """Seed of the first one."""
    evaluations: float | None = None
    """Length of a race in mean trainings at the highest rung; 80, or 40 within a limit."""
    traces: Path = field(default=Path(__file__).parent.parent / "results" / "fronts.jsonl")
    """Where the figures go; what is there is not run again, but our own is if its code has changed."""


def edition(opponent: str) -> str:
    """Names the code that a race of ours is of; "" for the others."""
    return compare.edition(OURS) if opponent.partition(":")[0] in _OWN else ""


def marks_of(share: float | None, evaluations: float | None = None) -> tuple[int, ...]:
    """When races are judged, in full evaluations."""
    marks = FRONT_MARKS if share is None else LIMIT_MARKS
    return marks if evaluations is None else tuple(mark for mark in marks if mark <= evaluations)


def run(options: FrontCompareSettings, opponent: str, seed: int, marks: Sequence[int]) -> dict[str, Any]:
    """One race: missing hypervolume, or regret, at every mark."""
    problem = fronts.load(options.problem, seed)
    begin = time.process_time()
    limit = None if options.share is None else problem.limit(options.share)
    maker = make(opponent, limited=limit is not None)
    found = fronts.race(problem, maker, seed=seed, evaluations=marks[-1], limit=limit)
    values = [
        fronts.missing_at(problem, found, mark)
        if limit is None
        else fronts.regret_at(problem, found, mark, limit)
        for mark in marks
    ]
    return {
        "problem": options.problem,
        "share": options.share,
        "opponent": opponent,
        "edition": edition(opponent),
        "seed": seed,
        "date": datetime.now(timezone.utc).date().isoformat(),
        "cpu_seconds": round(time.process_time() - begin, 2),
        "values": {str(mark): round(value, 6) for mark, value in zip(marks, values, strict=True)},
    }


def standing(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The races that count: of ours, those of the last edition; of one race, the longest."""

    def course(row: dict[str, Any]) -> tuple[Any, ...]:
        return row["problem"], row["share"], row["opponent"]

    last = {course(row): row["edition"] for row in rows}
    by_length = sorted(rows, key=lambda row: len(row["values"]))
    counting = {(*course(row), row["seed"]): row for row in by_length if row["edition"] == last[course(row)]}
    return list(counting.values())


def table(rows: Sequence[dict[str, Any]], marks: Sequence[int]) -> str:
    """Means in percent, the least of those with all seeds in bold, and pairs with ours of equal seed.

    Pairs are compared by the mean over the marks that both have reached, with Wilcoxon's two-sided p.
    """
    columns = [str(mark) for mark in marks]
    frame = pd.DataFrame(
        [{**dict.fromkeys(columns), **row["values"], **row} for row in rows],
    ).astype(dict.fromkeys(columns, "float64"))
    means = 100 * frame.groupby("opponent")[columns].mean()
    values = frame.set_index(["opponent", "seed"])[columns]
    seeds = values.groupby("opponent").size()
    least = means[seeds == seeds.max()].min()
    lines = [
        "| optimiser | " + " | ".join(columns) + " | ours ahead, tied, behind | p | seeds |",
        "|---" * (len(columns) + 4) + "|",
    ]
    for name in means.sort_values(columns[::-1]).index:
        cells = []
        for column in columns:
            mean = means.loc[name, column]
            mark = "**" if mean == least[column] else ""
            cells.append("not run" if pd.isna(mean) else f"{mark}{mean:.2f}{mark}")
        score, p = ("", "") if name == OURS or OURS not in means.index else _against(values, str(name))
        lines.append(f"| {name} | {' | '.join(cells)} | {score} | {p} | {seeds[name]} |")
    return "\n".join(lines)


def _against(values: pd.DataFrame, name: str) -> tuple[str, str]:
    """How many pairs ours wins, ties and loses, and the test of them."""
    theirs: Any = values.loc[name]
    pairs = (theirs - values.loc[OURS]).mean(axis=1).dropna()
    p = p_value(0 * pairs, pairs)
    score = f"{(pairs > 0).sum()}, {(pairs == 0).sum()}, {(pairs < 0).sum()}"
    return score, "too few" if math.isnan(p) else f"{p:.2g}"


def main() -> None:
    """Runs what is missing and prints the table."""
    options = tyro.cli(FrontCompareSettings, description=__doc__)
    makers = FRONT if options.share is None else LIMITED
    opponents = options.opponents or tuple(makers)
    marks = marks_of(options.share, options.evaluations)
    try:
        for name in opponents:
            make(name, limited=options.share is not None)
        if not marks:
            least = marks_of(options.share)[0]
            raise UserError(f"--evaluations {options.evaluations}: must be at least {least}")
        fronts.load(options.problem)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    execute(options, opponents, marks)
    rows = [
        row
        for row in standing(read(options.traces))
        if (row["problem"], row["share"]) == (options.problem, options.share) and row["opponent"] in opponents
    ]
    print(f"{options.problem}{'' if options.share is None else f', limit kept by {options.share:.0%}'}\n")
    print(table(rows, marks))
    seconds = pd.DataFrame(rows).groupby("opponent").cpu_seconds.mean().round(1)
    print("\nCPU seconds a race:", ", ".join(f"{name} {value}" for name, value in seconds.items()))


def execute(options: FrontCompareSettings, opponents: Sequence[str], marks: Sequence[int]) -> None:
    """Runs what is missing, all opponents of a seed before the next one's."""
    done = {
        (row["opponent"], row["edition"], row["seed"])
        for row in read(options.traces)
        if (row["problem"], row["share"]) == (options.problem, options.share)
        and str(marks[-1]) in row["values"]
    }
    editions = {opponent: edition(opponent) for opponent in opponents}
    options.traces.parent.mkdir(parents=True, exist_ok=True)
    with options.traces.open("a") as file:
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            for opponent in opponents:
                if (opponent, editions[opponent], seed) not in done:
                    file.write(json.dumps(run(options, opponent, seed, marks)) + "\n")
                    file.flush()


if __name__ == "__main__":
    main()
