"""Figures of a search with several objectives: the front, how it grew, and what choices buy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis import tradeoffs
from analysis.figures.search import time_axis
from analysis.figures.style import (
    BASE,
    FAINT,
    GOOD,
    INK,
    PAPER,
    SERIES,
    budget_label,
    drawing,
    percent_axis,
    say,
)
from nas.run.objectives import COST, format_cost, title

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from analysis.frames import Run
    from nas.run.confirmed_file import ConfirmedFile
    from nas.run.objectives import Objectives

_NOTHING = "no network within the limits has been trained at the highest budget yet"
_MOST = 24  # values named in the picture of what choices buy
_FACTORS = 3.0  # between the least and the highest cost, from which the axis goes by factors
_TICKS = (  # of a decade, by how many there are
    (1.0, (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)),
    (2.0, (1.0, 2.0, 5.0)),
    (4.0, (1.0, 3.0)),
    (float("inf"), (1.0,)),
)
_ROOM = 0.12  # of the heights shown, above and below them


def front(run: Run, objectives: Objectives, confirmed: ConfirmedFile | None) -> Figure:
    """Accuracy against the first cost with the front, means over seeds if there are; the front's growth."""
    cost = objectives.costs[0]
    with drawing(9.4, 4.4, columns=2) as (figure, axes):
        left, right = axes[0]
        trials = tradeoffs.fitting(run, objectives)
        if trials.empty:
            say(left, _NOTHING)
            right.set_axis_off()
            return figure
        left.scatter(
            trials[COST + cost], 1 - trials["error"], s=22, color=FAINT, edgecolor=PAPER, label="networks"
        )
        ends = tradeoffs.front(run, objectives)
        left.step(
            ends[COST + cost],
            1 - ends["error"],
            where="post",
            color=GOOD,
            marker="o",
            markersize=4,
            label="front: none has less of both",
        )
        _confirmed(left, cost, confirmed)
        base = run.baseline(run.rungs[-1])
        if base is not None and base.get(COST + cost, 0) > 0:
            left.plot(
                [base[COST + cost]],
                [1 - base["error"]],
                "s",
                color=BASE,
                markersize=8,
                markeredgecolor=PAPER,
                label="base architecture",
            )
        if cost in objectives.limits:
            left.axvline(objectives.limits[cost], color=FAINT, linestyle="--", label="limit")
        left.set_xlabel(f"{title(cost)} of the {objectives.network} network")
        _cost_axis(left, cost, trials[COST + cost].tolist())
        percent_axis(left.yaxis)
        left.set_ylabel(f"validation top-1 after {budget_label(run.rungs[-1])}")
        left.set_title("The front")
        handles, names = left.get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower left", ncols=4, fontsize=8)
        _growth(right, run, objectives)
    return figure


def _cost_axis(ax: Axes, cost: str, shown: Sequence[float]) -> None:
    """By factors where costs differ by several; few ticks, with their units."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

    least, high = min(shown), max(shown)
    if least > 0 and high > _FACTORS * least:
        ax.set_xscale("log")
        decades = np.log10(high / least)
        ax.xaxis.set_major_locator(LogLocator(subs=next(s for end, s in _TICKS if decades < end)))
        ax.xaxis.set_minor_locator(NullLocator())
    else:
        ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.xaxis.set_major_formatter(lambda value, _: format_cost(cost, value))


def _confirmed(ax: Axes, cost: str, confirmed: ConfirmedFile | None) -> None:
    """Means over fresh seeds with their 95 % intervals."""
    from nas.confirm.view import interval

    rows = [
        (row.costs[cost], row.mean_error, row.sd_error)
        for row in (() if confirmed is None else confirmed.configurations)
        if row.mean_error is not None and row.costs and cost in row.costs
    ]
    if not rows or confirmed is None:
        return
    seeds = len(confirmed.compared)
    halves = [0.0 if sd is None else interval(0.0, sd, seeds)[1] for _, _, sd in rows]
    shown = [1 - error for _, error, _ in rows] + [float(at) for at in ax.dataLim.intervaly]
    room = _ROOM * max(max(shown) - min(shown), 0.01)
    ax.errorbar(
        [at for at, _, _ in rows],
        [1 - mean for _, mean, _ in rows],
        yerr=halves,
        fmt="D",
        markersize=4,
        capsize=3,
        elinewidth=1.0,
        color=SERIES[1],
        label=f"mean of {seeds} fresh seeds, 95 % interval" if seeds > 1 else "with a fresh seed",
    )
    ax.set_ylim(min(shown) - room, max(shown) + room)  # of two seeds intervals are longer than all else


def _growth(ax: Axes, run: Run, objectives: Objectives) -> None:
    grown = tradeoffs.volume_over_time(run, objectives)
    if grown.empty:
        say(ax, "the base architecture has not been trained yet")
        return
    unit = time_axis(ax, run.clock)
    ends = pd.concat([grown, grown.tail(1).assign(clock=run.clock)])  # it stayed so to the end
    ax.step(ends["clock"] / unit, ends["hypervolume"], where="post", color=GOOD)
    ax.set_ylabel("hypervolume, share of the box")
    ax.set_title("How the front grew")


def choices(run: Run, objectives: Objectives) -> Figure | None:
    """What each value buys in accuracy and in the first cost; None for too few trials."""
    cost = objectives.costs[0]
    found = tradeoffs.effects(run, objectives)
    if found.empty:
        return None
    size = found["top1"].abs() / max(found["top1"].abs().max(), 1e-9)
    found = found.assign(weight=size + (found[cost] - 1).abs() / max((found[cost] - 1).abs().max(), 1e-9))
    found = found.nlargest(_MOST, "weight").sort_values("top1")
    with drawing(9.4, 1.2 + 0.24 * len(found), columns=2, sharey=True) as (figure, axes):
        names = [f"{row.hyperparameter} {row.value}" for row in found.itertuples()]
        for ax, values, label, good in (
            (axes[0, 0], found["top1"], "points of top-1", 1),
            (axes[0, 1], 100 * (found[cost] - 1), f"% of {title(cost)}", -1),
        ):
            ax.barh(names, values, color=[GOOD if good * value > 0 else FAINT for value in values])
            ax.axvline(0, color=FAINT, linewidth=0.8)
            ax.set_xlabel(f"{label}, against the base's value")
        axes[0, 0].set_title("What buys accuracy")
        axes[0, 1].set_title(f"What it costs in {title(cost)}")
    return figure


def importances(found: pd.DataFrame, objectives: Objectives) -> Figure:
    """Importance of each choice along the scalarisation, from the error alone to the cost alone.

    Args:
        found: Of :func:`analysis.importance.by_objective.by_objective`.
        objectives: What the run minimises and its limits.
    """
    table = found.pivot_table(index="hyperparameter", columns="weight", values="importance")
    table = table.loc[table.max(axis=1).sort_values(ascending=False).index, sorted(table.columns)[::-1]]
    cost = title(objectives.costs[0])
    with drawing(7.5, 1.6 + 0.3 * len(table)) as (figure, axes):
        ax = axes[0, 0]
        most = max(float(table.max().max()), 0.01)
        ax.imshow(table.to_numpy(), aspect="auto", cmap="Blues", vmin=0, vmax=most)
        for (row, column), share in np.ndenumerate(table.to_numpy()):
            dark = share > 0.6 * most
            ax.text(column, row, f"{100 * share:.0f}", ha="center", va="center", color=PAPER if dark else INK)
        names = ["error"] + [f"{100 * weight:.0f} % error" for weight in table.columns[1:-1]] + [cost]
        ax.set_xticks(range(len(names)), names)
        ax.set_yticks(range(len(table)), list(table.index))
        ax.grid(visible=False)
        ax.set_title(f"% of the variance that choices explain, from error to {cost}")
    return figure
