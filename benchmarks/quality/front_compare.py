"""Races for the front of error and cost, or within a limit: runs what is missing, prints the tables.

``python -m benchmarks.quality.front_compare --problem nexception-macs`` races for hypervolume; with
``--share 0.1`` for the least error among the tenth of all configurations that cost least.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd
import tyro
from scipy import stats

from benchmarks.quality import fronts
from benchmarks.quality.front_opponents import FRONT, LIMITED
from nas.util.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

HERE = Path(__file__).parent
FRONT_MARKS, LIMIT_MARKS = (20, 40, 80), (10, 20, 40)
OURS = "ours"
_FEWEST = 2  # races of each that a test can be made of


@dataclass(frozen=True)
class FrontCompareSettings:
    """What to race."""

    problem: Literal["nasbench201-latency", "nasbench201-params", "nexception-macs", "drawn"] = "drawn"
    """Table, surrogate, or a random function for each seed."""
    share: float | None = None
    """Limit: the share of all configurations that keep it; none: error and cost are both weighed."""
    opponents: tuple[str, ...] = ()
    """Who races, by name; all by default."""
    seeds: int = 20
    """Races of each."""
    evaluations: float | None = None
    """Length of a race in mean trainings at the highest rung; 80, or 40 within a limit."""
    traces: Path = field(default=HERE / "work" / "fronts.jsonl")
    """Where the figures go; what is there already is not run again."""


def run(options: FrontCompareSettings, opponent: str, seed: int, marks: Sequence[int]) -> dict[str, Any]:
    """One race: missing hypervolume, or regret, at every mark."""
    begin = time.process_time()
    problem = fronts.load(options.problem, seed if options.problem == "drawn" else 0)
    limit = None if options.share is None else problem.limit(options.share)
    makers = FRONT if limit is None else LIMITED
    found = fronts.race(problem, makers[opponent], seed=seed, evaluations=marks[-1], limit=limit)
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
        "seed": seed,
        "cpu_seconds": round(time.process_time() - begin, 2),
        "values": {str(mark): round(value, 6) for mark, value in zip(marks, values, strict=True)},
    }


def table(rows: Sequence[dict[str, Any]], marks: Sequence[int]) -> str:
    """Means in percent, the least in bold, with Wilcoxon's two-sided p of the mean over marks."""
    frame = pd.DataFrame([{**row["values"], **row} for row in rows])
    columns = [str(mark) for mark in marks]
    means = 100 * frame.groupby("opponent")[columns].mean()
    by_seed = frame.set_index(["seed", "opponent"])[columns].mean(axis=1).unstack("opponent")
    seconds = frame.groupby("opponent").cpu_seconds.mean()
    lines = [
        "| optimiser | " + " | ".join(columns) + " | p against ours | seeds |",
        "|---" * (len(columns) + 3) + "|",
    ]
    for name in means.mean(axis=1).sort_values().index:
        cells = []
        for column in columns:
            mark = "**" if means.loc[name, column] == means[column].min() else ""
            cells.append(f"{mark}{means.loc[name, column]:.2f}{mark}")
        pairs = by_seed[[OURS, name]].dropna() if name != OURS and OURS in by_seed else pd.DataFrame()
        p = ""
        if len(pairs) >= _FEWEST:
            p = f"{stats.wilcoxon(pairs[OURS], pairs[name], zero_method='zsplit').pvalue:.2g}"
        lines.append(f"| {name} | {' | '.join(cells)} | {p} | {by_seed[name].count()} |")
    cost = ", ".join(f"{name} {value:.1f}" for name, value in seconds.items())
    return "\n".join(lines) + f"\n\nCPU seconds a race: {cost}"


def main() -> None:
    """Runs what is missing and prints the table."""
    options = tyro.cli(FrontCompareSettings, description=__doc__)
    makers = FRONT if options.share is None else LIMITED
    opponents = options.opponents or tuple(makers)
    marks: tuple[int, ...] = FRONT_MARKS if options.share is None else LIMIT_MARKS
    if options.evaluations is not None:
        marks = tuple(mark for mark in marks if mark <= options.evaluations)
    try:
        if unknown := [name for name in opponents if name not in makers]:
            raise UserError(f"--opponents {unknown[0]}: must be of {', '.join(makers)}")
        if not marks:
            raise UserError(f"--evaluations {options.evaluations}: must be at least {FRONT_MARKS[0]}")
        fronts.load(options.problem)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    options.traces.parent.mkdir(parents=True, exist_ok=True)
    lines = options.traces.read_text().splitlines() if options.traces.exists() else []
    rows = [
        row
        for row in map(json.loads, lines)
        if (row["problem"], row["share"]) == (options.problem, options.share)
        and str(marks[-1]) in row["values"]
    ]
    done = {(row["opponent"], row["seed"]) for row in rows}
    with options.traces.open("a") as file:
        for seed in range(options.seeds):
            for opponent in opponents:
                if (opponent, seed) not in done:
                    rows.append(run(options, opponent, seed, marks))
                    file.write(json.dumps(rows[-1]) + "\n")
                    file.flush()
    print(f"{options.problem}{'' if options.share is None else f', limit kept by {options.share:.0%}'}\n")
    print(table([row for row in rows if row["opponent"] in opponents], marks))


if __name__ == "__main__":
    main()
