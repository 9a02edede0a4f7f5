"""Draws a list of runs."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nas.confirm.view import spread
from nas.run.liveness import COPIED, DEAD, RUNNING, STOPPED
from nas.status.listing import BEING_CONFIRMED
from nas.util.quantities import counted, format_duration
from nas.util.timestamps import from_iso, moment
from nas.view.lines import percent
from nas.view.panel import STATUS_STYLE

if TYPE_CHECKING:
    from pathlib import Path

    from nas.status.listing import Confirmed, ListedRun, RunList

_FIGURES = {"last", "time", "trials", "best top-1", "confirmed"}
_ROOMY = 130  # columns
_FOR_READERS = 200  # columns without a terminal: names are complete, for grep


def show(listing: RunList, folder: Path) -> None:
    """Prints the runs of a folder, and those that were left out."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_FOR_READERS)
    console.print(draw(listing, console.width))
    for name, reason in listing.left_out:
        console.print(Text(f"left out: {folder / name}: {reason}", "yellow"), soft_wrap=True)


def draw(listing: RunList, width: int) -> Table:
    """Draws a table with one row per run.

    Args:
        listing: The runs.
        width: Columns of the terminal; columns that do not fit are left out.
    """
    spared = {"last", "space", "data"} if width < _ROOMY else set()
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    columns = [_cells(run) for run in listing.runs]
    for name in _cells(listing.runs[0]) if listing.runs else ():
        if name not in spared:
            table.add_column(name, justify="right" if name in _FIGURES else "left", overflow="fold")
    for cells in columns:
        table.add_row(*(cell for name, cell in cells.items() if name not in spared))
    return table


def _cells(run: ListedRun) -> dict[str, Text]:
    return {
        "run": Text(run.name, "bold" if run.status == RUNNING else ""),
        "state": Text(_state(run), STATUS_STYLE.get(run.status, "green")),
        "last": Text(_at(run.last)),
        "time": Text(f"{format_duration(run.used_seconds)} of {format_duration(run.budget_seconds)}"),
        "trials": Text(_trials(run)),
        "best top-1": Text(percent(run.best_error)),
        "confirmed": Text(_confirmed(run.confirmed)),
        "space": Text(run.space),
        "data": Text(run.dataset),
    }


def _state(run: ListedRun) -> str:
    if run.status == RUNNING:
        return f"running, ends by {moment(run.budget_seconds - run.used_seconds)}"
    return {
        STOPPED: f"stopped: {run.stop_reason}",
        DEAD: "dead" if run.begun else "not begun",
        COPIED: "a copy",
        BEING_CONFIRMED: "being confirmed",
    }.get(run.status, run.status)


def _at(text: str) -> str:
    return f"{datetime.fromtimestamp(from_iso(text)):%Y-%m-%d %H:%M}" if text else "–"


def _trials(run: ListedRun) -> str:
    limit = "" if run.trial_limit is None else f" of {run.trial_limit}"
    crashed = f", {run.crashed} crashed" if run.crashed else ""
    return f"{run.finished}{limit}{crashed}"


def _confirmed(found: Confirmed | None) -> str:
    if found is None:
        return "–"
    seeds = "" if found.compared == found.seeds else f" ({found.compared} of {counted(found.seeds, 'seed')})"
    base = ", the baseline" if found.baseline else ""
    return f"{spread(found.mean_error, found.sd_error)}{base}{seeds}"
