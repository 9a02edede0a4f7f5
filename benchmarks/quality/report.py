"""Tables and figures of docs/quality.md from the races' traces."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import tyro
from scipy import stats

from analysis.figures.style import PALETTE, drawing, style
from benchmarks.quality.traces import MARKS, read, regrets
from nas.util.quantities import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HERE = Path(__file__).parent
OURS = "ours"
LONG = 500
_GRID = tuple(range(2, 81))


@dataclass(frozen=True)
class ReportSettings:
    """What to write."""

    traces: Path = HERE / "work" / "traces"
    """Traces of ``benchmarks.quality.compare``."""
    long: Path = HERE / "work" / "long"
    """Traces of random search over 500 full evaluations."""
    results: Path = HERE.parent / "results" / "quality.parquet"
    """Regrets over time, for the repository; read if there are no traces."""
    page: Path = Path("docs/quality.md")
    """The page; what stands between its markers is replaced."""
    images: Path = Path("docs/images")
    """Where the figures go."""


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """By opponent: mean regret at every mark, mean rank, and Wilcoxon's p against ours.

    Ranks and tests are over races of equal seeds, all marks together for the rank, the mean over marks
    for the test (two-sided, paired).

    Args:
        frame: Long table of one problem: opponent, seed, evaluations, regret.
    """
    marks = frame[frame.evaluations.isin(MARKS)]
    wide = marks.pivot_table(index="opponent", columns="evaluations", values="regret")
    ranks = marks.pivot_table(index=["evaluations", "seed"], columns="opponent", values="regret").rank(axis=1)
    by_seed = marks.groupby(["opponent", "seed"]).regret.mean().unstack("opponent")
    wide["rank"] = ranks.mean()
    wide["p"] = [
        np.nan
        if name == OURS
        else float(stats.wilcoxon(by_seed[OURS], by_seed[name], zero_method="zsplit").pvalue)
        for name in wide.index
    ]
    return wide.loc[wide[list(MARKS)].mean(axis=1).sort_values().index]


def markdown(table: pd.DataFrame) -> str:
    """The summary as a Markdown table; regrets in percentage points, the least in bold."""
    lines = [
        "| optimiser | " + " | ".join(f"{mark}" for mark in MARKS) + " | mean rank | p against ours |",
        "|---" * (len(MARKS) + 3) + "|",
    ]
    for name, row in table.iterrows():
        cells = [
            f"**{100 * row[mark]:.2f}**" if row[mark] == table[mark].min() else f"{100 * row[mark]:.2f}"
            for mark in MARKS
        ]
        p = "" if np.isnan(row["p"]) else f"{row['p']:.2g}"
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {row['rank']:.2f} | {p} |")
    return "\n".join(lines)


def figure(frame: pd.DataFrame, title: str) -> Figure:
    """Mean regret over time with bands of one standard error."""
    with drawing(7.5, 4.2) as (fig, axes):
        ax = axes[0, 0]
        last = frame[frame.evaluations == frame.evaluations.max()].groupby("opponent").regret.mean()
        for name, colour in zip(sorted(last.index, key=lambda n: last[n]), PALETTE, strict=False):
            by_time = frame[frame.opponent == name].groupby("evaluations").regret
            mean, error = 100 * by_time.mean(), 100 * by_time.sem()
            ax.plot(mean.index, mean, color=colour, label=name, lw=2.6 if name == OURS else 1.5)
            ax.fill_between(mean.index, mean - error, mean + error, color=colour, alpha=0.15, lw=0)
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter("{x:g}")
        ax.yaxis.set_minor_formatter("{x:g}")
        ax.set(title=title, xlabel="full evaluations paid", ylabel="regret, percentage points")
        ax.legend(ncols=2)
    return fig


def tenth(frame: pd.DataFrame) -> str:
    """What ours reaches at a tenth of what random search was given."""
    at = frame.groupby(["opponent", "evaluations"]).regret
    few, many = (OURS, LONG // 10), ("random", LONG)
    if many not in at.groups:
        return f"Not measured: random search over {LONG} full evaluations."
    mean, error = 100 * at.mean(), 100 * at.sem()
    return (
        f"Regret of random search after {LONG} full evaluations: {mean[many]:.2f} ± {error[many]:.2f} "
        f"points; of ours after {LONG // 10}: {mean[few]:.2f} ± {error[few]:.2f} (standard errors)."
    )


def replaced(page: str, name: str, text: str) -> str:
    """The page with another text between the markers of a name."""
    pattern = rf"(<!-- {re.escape(name)} -->\n).*?(<!-- end -->)"
    return re.sub(pattern, lambda match: f"{match[1]}{text}\n{match[2]}", page, flags=re.DOTALL)


def write(options: ReportSettings) -> None:
    """Replaces the tables of the page and the figures."""
    if options.traces.exists():
        frame = regrets(read(options.traces), _GRID)
        frame = frame[~frame.opponent.str.contains(":")]
        frame["regret"] = frame.regret.astype("float32")
        frame["evaluations"] = frame.evaluations.astype("int16")
        if options.long.exists():
            last = regrets(read(options.long), (LONG,))
            frame = pd.concat([frame, last.astype(frame.dtypes[last.columns])])
        frame.to_parquet(options.results, compression="zstd", index=False)
    frame = pd.read_parquet(options.results)
    page = options.page.read_text()
    page = replaced(page, "tenth", tenth(frame[frame.problem == "nexception"]))
    for problem, part in frame[frame.evaluations <= max(MARKS)].groupby("problem"):
        table = markdown(summary(part))
        page = replaced(page, str(problem), table)
        with style():
            drawn = figure(part, f"{problem}, {counted(part.seed.nunique(), 'seed')}")
            drawn.savefig(options.images / f"quality-{problem}.png", dpi=110)
        print(f"{problem}\n{table}\n")
    options.page.write_text(page)


if __name__ == "__main__":
    write(tyro.cli(ReportSettings, description=__doc__))
