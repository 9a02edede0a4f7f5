"""Figures of several runs: progress with bands, importances side by side, curves over seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis import curves
from analysis.figures.search import time_axis
from analysis.figures.seeds import mean_curve
from analysis.figures.style import BASE, INK, colour, drawing, learning_panels, name_axis, percent_axis, say
from nas.util.quantities import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from analysis.compare.groups import Group
    from analysis.frames import Run

_DASHES = ("-", "--", "-.", ":")  # lines that lie on each other stay apart
_TITLES = {"lpi": "Local importance around each run's winner", "fanova": "fANOVA: importance over the space"}


def progress(groups: Sequence[Group], table: pd.DataFrame) -> Figure:
    """Mean top-1 of the best so far over search time; the band as :func:`groups.progress` defines it."""
    with drawing(8.2, 4.4) as (figure, axes):
        ax = axes[0, 0]
        if table["top1"].isna().all():
            say(ax, "no network was trained for the most epochs within the time all runs share")
            return figure
        unit = time_axis(ax, table["seconds"].max())
        for place, part in enumerate(groups):
            rows = table[table["group"] == part.label]
            at = rows["seconds"] / unit
            ax.fill_between(at, rows["low"], rows["high"], step="post", color=colour(place), alpha=0.2, lw=0)
            label = f"{part.label} ({counted(len(part.runs), 'run')})"
            dash = _DASHES[place % len(_DASHES)]
            ax.step(at, rows["top1"], where="post", color=colour(place), linestyle=dash, label=label)
        ax.set_xlim(left=0)
        ax.set_ylabel("best validation top-1")
        percent_axis(ax.yaxis)
        ax.set_title("Best network over time")
        figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def importances(groups: Sequence[Group], table: pd.DataFrame) -> Figure:
    """Mean importance in each group, dots the single runs."""
    with drawing(max(8.6, 0.86 * table["hyperparameter"].nunique()), 6.4, rows=2) as (figure, axes):
        for ax, method in zip(axes[:, 0], _TITLES, strict=True):
            _bars(ax, groups, table[table["method"] == method])
            ax.set_title(_TITLES[method])
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


def _bars(ax: Axes, groups: Sequence[Group], table: pd.DataFrame) -> None:
    order = table.groupby("hyperparameter")["importance"].mean().sort_values(ascending=False).index
    width = 0.8 / len(groups)
    for place, part in enumerate(groups):
        rows = table[table["group"] == part.label]
        if rows.empty:
            continue
        at = np.arange(len(order)) + (place - (len(groups) - 1) / 2) * width
        means = rows.groupby("hyperparameter")["importance"].mean().reindex(order)
        ax.bar(at, means, width * 0.9, color=colour(place), alpha=0.8, label=part.label)
        for _, single in rows.groupby("run"):
            values = single.set_index("hyperparameter")["importance"].reindex(order)
            ax.plot(at, values, "o", markersize=3, color=INK)
    name_axis(ax, list(order))
    ax.grid(axis="x", visible=False)
    ax.set_ylabel("share of the variance")
    percent_axis(ax.yaxis)


def learning_curves(groups: Sequence[Group]) -> Figure:
    """Curves of each group's winners and of the base architecture, mean and standard deviation over runs.

    As NEXcepTion's Figures 5 and 6, which average three seeds.
    """
    with drawing(8.8, 4.1, columns=2) as (figure, axes):
        runs = [run for part in groups for run in part.runs]
        for ax, column in learning_panels(axes[0], "Learning curves, mean and standard deviation"):
            for place, part in enumerate(groups):
                winners = [_winner(run) for run in part.runs]
                mean_curve(ax, winners, column, colour(place), f"winners of {part.label}", place)
            mean_curve(ax, [_base(run) for run in runs], column, BASE, "base architecture", len(groups), "--")
        handles, labels = axes[0, 0].get_legend_handles_labels()
        if handles:
            figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return figure


def _winner(run: Run) -> pd.DataFrame:
    return run.curves.iloc[:0] if run.incumbent is None else curves.curve(run, run.incumbent["config_id"])


def _base(run: Run) -> pd.DataFrame:
    base = run.baseline(run.rungs[-1])
    return run.curves.iloc[:0] if base is None else curves.curve(run, base["config_id"])
