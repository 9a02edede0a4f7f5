"""Importances as tables for a terminal, and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from rich.console import Console
from rich.text import Text

from analysis.importance import marginals
from analysis.importance.figures import TITLES
from analysis.levels import shown
from nas.util import tables
from nas.util.quantities import counted

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    from rich.table import Table

    from analysis.frames import Run
    from analysis.importance.by_budget import Importances

_PAIRS = 6


def show(run: Run, found: Importances, folder: Path, console: Console | None = None) -> None:
    """Prints the tables, the notes and the folder of the files."""
    console = console or Console()
    console.print(_shares(found, "lpi", stock=found.of("lpi_stock")))
    console.print(_shares(found, "fanova"))
    console.print(_shares(found, "fanova_pairs", most=_PAIRS))
    path = _path(run, found)
    if path is not None:
        console.print(path)
    console.print(
        Text("shares of the variance, %; ± standard deviation over bootstrap repeats, else trees", "dim")
    )
    most = counted(max(run.measured["epochs"]), "epoch")
    console.print(Text(f"overall: a model of all trials that knows their epochs, read at {most}", "dim"))
    for note in found.notes:
        console.print(Text(f"note  {note}"))
    console.print(
        Text(f"\nfiles in {folder}: importance.csv, marginals.csv, importance-*.png/svg, marginals.*")
    )


def to_json(run: Run, found: Importances, choices: pd.DataFrame) -> str:
    """Returns everything as plain values."""
    return orjson.dumps(
        {
            "run": str(run.path),
            "centre": {"trial": found.centre, "config": run.config(found.centre)},
            "notes": found.notes,
            "importance": _records(found.table),
            "marginals": _records(choices),
            "crashes": _records(marginals.crashes(run)),
            "crash_reasons": marginals.crash_reasons(run),
        },
        option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY,
    ).decode()


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    plain = frame.astype(object).where(frame.notna(), None)
    return [{str(key): value for key, value in row.items()} for row in plain.to_dict("records")]


def _shares(
    found: Importances, method: str, stock: pd.DataFrame | None = None, most: int | None = None
) -> Table:
    rows = found.of(method)
    by = "; by DeepCAVE but overall" if "deepcave" in set(rows["engine"]) else ""
    title = TITLES[method] + by
    if stock is not None and len(stock):
        title += "; (stock LPI)"
    table = tables.table(title, "", fold=True, title_style="bold")
    budgets = list(dict.fromkeys(rows["budget"]))
    for budget in budgets:
        trials = int(rows.loc[rows["budget"] == budget, "trials"].max())
        unit = "" if budget == "overall" else " ep"
        table.add_column(f"{budget}{unit}\nn={trials}", justify="right", no_wrap=True)
    overall = rows[rows["budget"] == "overall"].sort_values("importance", ascending=False)
    # The strongest at any rung must be among the few that are shown.
    kept = rows.groupby(["hyperparameter", "partner"])["importance"].max().nlargest(most or len(overall))
    for _, lead in overall.iterrows():
        names = (lead["hyperparameter"], lead["partner"])
        if names not in kept.index:
            continue
        cells = [_cell(rows, budget, names, stock) for budget in budgets]
        table.add_row(" x ".join(name for name in names if name), *cells)
    return table


def _cell(rows: pd.DataFrame, budget: str, names: tuple[str, str], stock: pd.DataFrame | None) -> str:
    row = _find(rows, budget, names)
    std = row["std_bootstrap"] if row["std_bootstrap"] == row["std_bootstrap"] else row["std_trees"]
    text = f"{100 * row['importance']:.0f} ±{100 * std:.0f}"
    if stock is not None and budget in set(stock["budget"]):
        text += f" [dim]({100 * _find(stock, budget, names)['importance']:.0f})[/]"
    return text


def _find(rows: pd.DataFrame, budget: str, names: tuple[str, str]) -> pd.Series:
    at = (rows["budget"] == budget) & (rows["hyperparameter"] == names[0]) & (rows["partner"] == names[1])
    return rows[at].iloc[0]


def _path(run: Run, found: Importances) -> Table | None:
    """Draws the ablation path that is learnt from all trials."""
    rows = found.of("ablation")
    if rows.empty:
        return None
    rows = rows[rows["budget"] == "overall"].sort_values("step")
    config = run.config(found.centre)
    title = f"{TITLES['ablation']} (overall, predicted)"
    names = ("", "change", "top-1", "gain, points")
    table = tables.table(title, *names, words=("change",), title_style="bold")
    first = rows.iloc[0]
    table.add_row(
        "0", "the base architecture", f"{100 * (1 - first['error'] - first['importance']):.2f}%", ""
    )
    for _, row in rows.iterrows():
        name = row["hyperparameter"]
        change = f"{name}: {shown(run.default[name])} → {shown(config[name])}"
        table.add_row(
            str(row["step"]), change, f"{100 * (1 - row['error']):.2f}%", f"{100 * row['importance']:+.2f}"
        )
    return table
