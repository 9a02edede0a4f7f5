"""Results of the races."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import stats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.end_to_end.settings import EndToEndSettings

BASE = "base"
_SAME = (
    *("minutes", "learn", "judge", "test", "space", "width", "min_epochs", "max_epochs", "eta"),
    *("seeds", "cores", "device"),
)


def terms(options: EndToEndSettings) -> dict[str, Any]:
    """Returns what two races must share to be compared; of an image file only its name."""
    kind, _, place = options.dataset.partition(":")
    same = {name: getattr(options, name) for name in _SAME}
    return {"dataset": f"{kind}:{Path(place).name}" if place else kind, **same}


def read(path: Path, options: EndToEndSettings) -> list[dict[str, Any]]:
    """The races of these terms; a half-written last line is left out."""
    rows = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if row["terms"] == terms(options):
            rows.append(row)
    return rows


def table(rows: Sequence[dict[str, Any]], racers: Sequence[str]) -> str:
    """Markdown: what each program did and named, and its winner's accuracy with fresh seeds.

    The p-value is of a two-sided paired t-test over repeats against ours; fewer than three have none.
    """
    lines = [
        "| program | trials | epochs | its own figure | fresh seeds, test images | p against ours |",
        "|---|---|---|---|---|---|",
    ]
    ours = fresh(rows, "ours") if "ours" in racers else None
    for name in (*racers, BASE):
        accuracies = fresh(rows, name)
        cells = ["", "", ""]
        if name != BASE:
            told = [row["racers"][name] for row in rows]
            cells = [f"{np.mean([one[key] for one in told]):.0f}" for key in ("trials", "epochs")]
            cells.append(f"{100 * np.mean([one['accuracy'] for one in told]):.1f} %")
        error = f" ± {100 * stats.sem(accuracies):.1f}" if len(rows) > 1 else ""
        p = "" if name == "ours" or ours is None else _p(ours, accuracies)
        lines.append(f"| {name} | {' | '.join(cells)} | {100 * accuracies.mean():.1f}{error} % | {p} |")
    return "\n".join(lines)


def fresh(rows: Sequence[dict[str, Any]], name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Mean accuracy over fresh seeds in every repeat."""
    found = [row["base"] if name == BASE else row["racers"][name]["fresh"] for row in rows]
    return np.array([np.mean(one) for one in found])


def _p(ours: Any, other: Any) -> str:
    if len(ours) < 3:
        return "too few"
    if np.allclose(ours, other):
        return "1"
    return f"{stats.ttest_rel(ours, other).pvalue:.2g}"
