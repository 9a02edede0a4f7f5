"""Traces of races: one JSON line each, when the incumbent changed and its regret."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

MARKS = (10, 20, 40, 80)


def read(path: Path) -> list[dict[str, Any]]:
    """Returns the traces of a file, or of all ``*.jsonl`` of a folder; none if there is neither."""
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    return [json.loads(line) for file in files if file.exists() for line in file.read_text().splitlines()]


def key(row: dict[str, Any]) -> tuple[Any, ...]:
    """Returns what identifies a race."""
    return row["problem"], row["opponent"], row.get("edition", ""), row["seed"], row["evaluations"]


def standing(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The races that count: of ours, those of the last edition; of one that failed, the last try."""
    rows = list({key(row): row for row in rows}.values())
    last = {row["opponent"]: row.get("edition", "") for row in rows}
    return [row for row in rows if row.get("edition", "") == last[row["opponent"]]]


def at(steps: Sequence[tuple[float, float]], mark: float) -> float:
    """Returns the regret after some full evaluations; before the first incumbent, that of the first."""
    reached = [regret for paid, regret in steps if paid <= mark]
    return reached[-1] if reached else steps[0][1]


def regrets(rows: Iterable[dict[str, Any]], marks: Sequence[float] = MARKS) -> pd.DataFrame:
    """Long table: regret of every race at every mark that it reaches.

    Where a seed has races of several lengths, the shortest that reaches the mark counts: who plans by the
    length of a race was told of that mark, or of one not far beyond it.
    """
    regret: dict[tuple[Any, ...], float] = {}
    for row in sorted(rows, key=lambda row: float(row["evaluations"])):
        for mark in marks:
            if mark <= row["evaluations"]:
                regret.setdefault(
                    (row["problem"], row["opponent"], row["seed"], mark), at(row["steps"], mark)
                )
    columns = ["problem", "opponent", "seed", "evaluations", "regret"]
    return pd.DataFrame([(*race, value) for race, value in regret.items()], columns=columns)
