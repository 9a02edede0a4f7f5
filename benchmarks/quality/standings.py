"""Tables of docs/quality.md over all problems: ``python -m benchmarks.quality.standings``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import tyro
from scipy import stats

from benchmarks.quality.compare import OURS
from benchmarks.quality.registry import PROBLEMS
from benchmarks.quality.report import replaced
from benchmarks.quality.traces import MARKS, read, regrets, standing
from nas.util.quantities import counted

if TYPE_CHECKING:
    from collections.abc import Iterable

POOLED = (10, 20, 40)  # all opponents ran as far
_ENOUGH = 6  # pairs below which no test is significant
_LEVEL = 0.05


@dataclass(frozen=True)
class StandingsSettings:
    """What to write."""

    traces: Path = Path(__file__).parent.parent / "results" / "races"
    """Races of benchmarks.quality.compare."""
    page: Path = Path("docs/quality.md")
    """The page; what stands between its markers is replaced."""


def means(frame: pd.DataFrame, marks: tuple[float, ...]) -> pd.DataFrame:
    """Mean regret over the marks in points, a row for each problem and seed, a column for each opponent.

    Races that do not reach all marks are left out.
    """
    wide = frame.pivot_table(index=["problem", "seed", "opponent"], columns="evaluations", values="regret")
    return 100 * wide.reindex(columns=marks).mean(axis=1, skipna=False).unstack("opponent")


def scaled(table: pd.DataFrame) -> pd.DataFrame:
    """Regrets divided by the mean of their problem: large errors do not outweigh small ones."""
    return table.div(table.groupby("problem").transform("mean").mean(axis=1), axis=0)


def p_value(ours: pd.Series[float], other: pd.Series[float]) -> float:
    """Two-sided Wilcoxon over the races that both have run; NaN if there are too few."""
    pairs = pd.concat([ours, other], axis=1).dropna()
    if len(pairs) < _ENOUGH:
        return float("nan")
    first, second = pairs.to_numpy().T
    return float(stats.wilcoxon(first, second, zero_method="zsplit").pvalue)


def pooled(table: pd.DataFrame) -> str:
    """Markdown: every opponent over all problems.

    The rank is among those who ran the race. Comparisons and tests are over the races that both ran.
    """
    shares = scaled(table)
    ranks = table.rank(axis=1).mean()
    lines = [
        "| optimiser | races | regret, of the problem's mean | ours in the same races | mean rank "
        "| ours ahead, tied, behind | p |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in shares.mean().sort_values().index:
        both = table[[OURS, name]].dropna() if name != OURS else table[[OURS]].dropna()
        same, score, p = "", "", ""
        if name != OURS:
            same = f"{shares.loc[both.index, OURS].mean():.2f}"
            gap = both[name] - both[OURS]
            score = f"{(gap > 0).sum()}, {(gap == 0).sum()}, {(gap < 0).sum()}"
            p = _p(p_value(shares[OURS], shares[name]))
        lines.append(
            f"| {name} | {len(both)} | {shares.loc[both.index, name].mean():.2f} | {same} "
            f"| {ranks[name]:.2f} | {score} | {p} |"
        )
    return "\n".join(lines)


def by_mark(frame: pd.DataFrame) -> str:
    """Markdown: every opponent at each mark: its regret and ours in the same races, p, and how many races."""
    tables = {mark: scaled(means(frame, (mark,))) for mark in MARKS}
    lines = [
        "| optimiser | " + " | ".join(f"{mark}" for mark in MARKS) + " |",
        "|---" * (len(MARKS) + 1) + "|",
    ]
    for name in tables[MARKS[0]].mean().sort_values().index.drop(OURS):
        cells = []
        for table in tables.values():
            both = table.reindex(columns=[OURS, name]).dropna()
            p = _p(p_value(both[OURS], both[name]))
            cells.append(
                f"{both[name].mean():.2f}, {both[OURS].mean():.2f}, {p}, {len(both)}"
                if len(both)
                else "not run"
            )
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def by_problem(table: pd.DataFrame) -> str:
    """Markdown: mean regret on each problem; a star where p against ours is below .05.

    The least is in bold, among those with as many seeds as ours; fewer are said beside the name.
    """
    names = [OURS, *sorted(set(table.columns) - {OURS})]
    seeds = table.groupby("problem").count().max()
    titles = [
        name if seeds[name] == seeds[OURS] else f"{name}, {counted(seeds[name], 'seed')}" for name in names
    ]
    lines = ["| problem | seeds | " + " | ".join(titles) + " |", "|---" * (len(names) + 2) + "|"]
    for problem in [name for name in PROBLEMS if name in table.index.get_level_values("problem")]:
        part: Any = table.loc[problem]
        mean = part.mean()
        least = mean[part.count() == len(part)].min()
        cells = []
        for name in names:
            if part[name].isna().all():
                cells.append("not run")
                continue
            text = f"**{mean[name]:.2f}**" if mean[name] == least else f"{mean[name]:.2f}"
            p = p_value(part[OURS], part[name]) if name != OURS else np.nan
            cells.append(f"{text} *" if p < _LEVEL else text)
        aside = " (aside)" if PROBLEMS[problem].aside else ""
        lines.append(f"| {problem}{aside} | {len(part)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def failures(rows: Iterable[dict[str, object]]) -> str:
    """Races that failed, by opponent and reason."""
    counts: dict[str, int] = {}
    for row in rows:
        if row.get("failed"):
            name = f"{row['opponent']} on {row['problem']} ({row['failed']})"
            counts[name] = counts.get(name, 0) + 1
    return "; ".join(f"{name}: {n}" for name, n in counts.items()) or "none"


def _p(value: float) -> str:
    return "too few" if np.isnan(value) else f"{value:.2g}"


def write(options: StandingsSettings) -> None:
    """Replaces the tables of the page."""
    rows = standing(read(options.traces))
    frame = regrets([row for row in rows if not row.get("failed")])
    races = frame.groupby(["problem", "opponent", "seed"]).ngroups
    table = means(frame, POOLED)
    dates = sorted({row["date"] for row in rows})
    said = f"{counted(races, 'race')}, {dates[0]} to {dates[-1]}. Failed: {failures(rows)}."
    parts = {
        "standings": f"{said}\n\n{pooled(table)}",
        "marks": by_mark(frame),
        "problems": by_problem(table),
    }
    page = options.page.read_text()
    for name, text in parts.items():
        page = replaced(page, name, text)
        print(f"{text}\n")
    options.page.write_text(page)


if __name__ == "__main__":
    write(tyro.cli(StandingsSettings, description=__doc__))
