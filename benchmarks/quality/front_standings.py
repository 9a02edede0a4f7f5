"""Tables of docs/objectives.md from the traces: ``python -m benchmarks.quality.front_standings``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from benchmarks.quality.front_compare import marks_of, standing, table
from benchmarks.quality.fronts import PROBLEMS
from benchmarks.quality.report import replaced
from benchmarks.quality.traces import read
from nas.util.quantities import counted

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class FrontStandingsSettings:
    """What to write."""

    traces: Path = Path(__file__).parent.parent / "results" / "fronts.jsonl"
    """Races of ``benchmarks.quality.front_compare``."""
    page: Path = Path("docs/objectives.md")
    """The page; what stands between its markers is replaced."""


def section(rows: Sequence[dict[str, Any]], share: float | None) -> str:
    """Markdown: when the races of one problem were run, with which code, and their table."""
    days = sorted({row["date"] for row in rows})
    days_said = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    editions = sorted({row["edition"] for row in rows} - {""})
    code = f"; ours: edition {' and '.join(editions)}" if editions else ""
    return f"{counted(len(rows), 'race')}, {days_said}{code}.\n\n{table(rows, marks_of(share))}"


def write(options: FrontStandingsSettings) -> None:
    """Replaces the tables of the page."""
    rows, page = standing(read(options.traces)), options.page.read_text()
    for problem in PROBLEMS:
        for share in sorted({row["share"] for row in rows}, key=lambda share: share or 0):
            part = [row for row in rows if (row["problem"], row["share"]) == (problem, share)]
            if part:
                marker = f"{'front' if share is None else 'limit'}-{problem}"
                page = replaced(page, marker, section(part, share))
    options.page.write_text(page)


if __name__ == "__main__":
    write(tyro.cli(FrontStandingsSettings, description=__doc__))
