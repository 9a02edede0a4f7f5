"""Figures of the search itself: progress, rungs, learning curves, size, the whole space."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from analysis import agreement, curves, pareto
from analysis.figures.style import (
    BASE,
    FAINT,
    GOOD,
    INK,
    PAPER,
    budget_label,
    colour,
    drawing,
    learning_panels,
    percent_axis,
    say,
    wrap,
)
from analysis.levels import codes, shown
from nas.util.quantities import format_count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from analysis.frames import Run

TOP = 10
MOST_LINES = 600  # more lines through one picture show nothing and make a large page
MANY_DOTS = 500  # more are drawn as pixels, also where the figure is an SVG
_NOTHING = "no trial has succeeded yet"


def time_unit(seconds: float) -> tuple[float, str]:
    """A unit that fits so much time: how many seconds one has, and its name."""
    units = (
        (2 * 86_400, 86_400, "days"),
        (2 * 3_600, 3_600, "hours"),
        (300, 60, "minutes"),
        (0, 1, "seconds"),
    )
    _, factor, name = next(unit for unit in units if seconds >= unit[0])
    return float(factor), name


def time_axis(axes: Axes, seconds: float) -> float:
    """Labels the time axis in fitting units; returns how many seconds one of them has."""
    factor, name = time_unit(seconds)
    axes.set_xlabel(f"search time ({name})")
    return factor


def _legend(figure: Figure, axes: Axes, columns: int) -> None:
    """A legend under the figure, where it hides no data."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=columns)


def progress(run: Run) -> Figure:
    """Every trial and the incumbent over search time, against the base architecture."""
    with drawing(8.6, 4.2) as (figure, axes):
        ax = axes[0, 0]
        if run.measured.empty:
            say(ax, _NOTHING)
            return figure
        unit = time_axis(ax, run.clock)
        for place, epochs in enumerate(run.rungs):
            part = run.budget(epochs)
            ax.plot(
                part["clock"] / unit,
                1 - part["error"],
                "o",
                markersize=3.5,
                alpha=0.6,
                color=colour(place),
                label=f"trials, {budget_label(epochs)}",
                rasterized=len(part) > MANY_DOTS,
            )
        if not run.incumbents.empty:
            ends = [*run.incumbents["clock"], run.clock]
            best = [*run.incumbents["top1"], run.incumbents["top1"].iloc[-1]]
            ax.step(np.array(ends) / unit, best, where="post", color=INK, linewidth=2, label="best so far")
        baseline = run.baseline(run.rungs[-1])
        if baseline is not None:
            ax.axhline(
                1 - baseline["error"],
                color=BASE,
                linestyle="--",
                label=f"base architecture, {budget_label(run.rungs[-1])}",
            )
        ax.set_xlim(left=0)
        ax.set_ylabel("validation top-1")
        percent_axis(ax.yaxis)
        ax.set_title("Best network over time")
        _legend(figure, ax, 3)
    return figure


def budgets(run: Run) -> Figure:
    """Error after few epochs against error after many, for each two rungs."""
    table = agreement.correlations(run)
    table = table[table["configs"] >= agreement.MIN_DRAWN]
    columns = max(min(len(table), 3), 1)
    rows = max(-(-len(table) // columns), 1)
    with drawing(2.9 * columns + 0.2, 3.1 * rows, rows=rows, columns=columns) as (figure, axes):
        if table.empty:
            say(axes[0, 0], "no three configurations\nwere trained to two rungs yet")
        for ax, (_, row) in zip(axes.flat, table.iterrows(), strict=False):
            both = agreement.shared(run, row["low"], row["high"])
            few = {"markersize": 4.5, "alpha": 0.75, "rasterized": len(both) > MANY_DOTS}
            ax.plot(1 - both["low"], 1 - both["high"], "o", color=GOOD, **few)
            ends = [run.baseline(int(row[end])) for end in ("low", "high")]
            top1 = [1 - end["error"] for end in ends if end is not None]
            if len(top1) == 2:
                ax.plot(*([value] for value in top1), "s", color=BASE, label="base architecture")
            ax.set_xlabel(f"top-1 after {budget_label(int(row['low']))}")
            ax.set_ylabel(f"top-1 after {budget_label(int(row['high']))}")
            ax.set_title(f"ρ = {row['rho']:.2f}, n = {row['configs']:.0f}")
            for axis in (ax.xaxis, ax.yaxis):
                percent_axis(axis)
        for ax in list(axes.flat)[max(len(table), 1) :]:
            ax.set_axis_off()
        _legend(figure, axes.flat[0], 1)
    return figure


def learning_curves(run: Run) -> Figure:
    """Top-1 and loss over epochs: the ten best configurations and the base architecture."""
    with drawing(8.8, 4.1, columns=2) as (figure, axes):
        ranked = curves.ranking(run)
        if ranked.empty or run.curves.empty:
            say(axes[0, 0], _NOTHING)
            axes[0, 1].set_axis_off()
            return figure
        for ax, column in learning_panels(axes[0], "Learning curves of the ten best"):
            for place, name in reversed(list(enumerate(ranked["config_id"].head(TOP)))):
                points = curves.curve(run, name)
                style = {"color": GOOD, "zorder": 4} if place == 0 else {"color": FAINT, "linewidth": 1.1}
                text = (
                    "best" if place == 0 else f"next {len(ranked.head(TOP)) - 1} best" if place == 1 else None
                )
                ax.plot(points["epoch"], points[column], marker=".", label=text, **style)
            base = run.measured[run.measured["origin"] == "baseline"]
            if not base.empty:
                points = curves.curve(run, base["config_id"].iloc[0])
                ax.plot(
                    points["epoch"],
                    points[column],
                    color=BASE,
                    linestyle="--",
                    marker=".",
                    label="base architecture",
                )
        _legend(figure, axes[0, 0], 3)
    return figure


def size(run: Run) -> Figure:
    """Accuracy against MACs and parameters with the Pareto fronts, as NEXcepTion's Figures 2 and 3."""
    with drawing(8.8, 4.4, columns=2, sharey=True) as (figure, axes):
        trials = pareto.candidates(run)
        if trials.empty:
            say(axes[0, 0], _NOTHING)
            axes[0, 1].set_axis_off()
            return figure
        epochs = int(trials["epochs"].iloc[0])
        for ax, (cost, label, area, area_label) in zip(
            axes[0],
            (("macs", "MACs an image", "params", "parameters"), ("params", "parameters", "macs", "MACs")),
            strict=True,
        ):
            _bubbles(ax, run, trials, cost, area)
            ax.set_xlabel(f"{label} (bubble: {area_label})")
            ax.xaxis.set_major_formatter(lambda value, _: format_count(value))
            ax.margins(0.12)
            ax.set_ylim(top=min(ax.get_ylim()[1], 1.01))
        percent_axis(axes[0, 0].yaxis)
        axes[0, 0].set_ylabel(f"validation top-1 after {budget_label(epochs)}")
        axes[0, 0].set_title("Accuracy against size")
        _legend(figure, axes[0, 0], 4)
    return figure


def _bubbles(ax: Axes, run: Run, trials: pd.DataFrame, cost: str, area: str) -> None:
    areas = 40 + 260 * (trials[area] - trials[area].min()) / max(np.ptp(trials[area]), 1)
    marks = ax.scatter(
        trials[cost], 1 - trials["error"], s=areas, color=FAINT, alpha=0.55, edgecolor=PAPER, label="networks"
    )
    marks.set_gid(f"points-{cost}")
    marks.set_rasterized(len(trials) > MANY_DOTS)
    ends = pareto.front(trials, cost)
    ax.step(
        ends[cost],
        1 - ends["error"],
        where="post",
        color=GOOD,
        marker="o",
        markersize=4,
        label="Pareto front: no other is smaller and better",
    )
    winner, base = run.incumbent, run.baseline(int(trials["epochs"].iloc[0]))
    for row, paint, mark, name in ((base, BASE, "s", "base architecture"), (winner, GOOD, "*", "winner")):
        if row is not None and row["epochs"] == trials["epochs"].iloc[0]:
            ax.plot(
                [row[cost]],
                [1 - row["error"]],
                mark,
                color=paint,
                markersize=15 if mark == "*" else 9,
                markeredgecolor=PAPER,
                zorder=5,
                linestyle="none",
                label=name,
            )


def size_titles(run: Run) -> list[str]:
    """What each bubble of :func:`size` is, in its order; nothing where they are drawn as pixels."""
    if len(pareto.candidates(run)) > MANY_DOTS:
        return []
    return [
        f"trial {row['trial']}: top-1 {100 * (1 - row['error']):.2f}%, {format_count(row['macs'])} MACs, "
        f"{format_count(row['params'])} params; {run.changes(row)}"
        for _, row in pareto.candidates(run).iterrows()
    ]


def parallel(run: Run) -> Figure:
    """Every configuration of one rung as a line through its choices, coloured by its top-1."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    with drawing(8.8, 4.6) as (figure, axes):
        ax = axes[0, 0]
        if run.measured.empty:
            say(ax, _NOTHING)
            return figure
        names = [name for name, hp in run.hyperparameters.items() if len(hp.choices) > 1]
        if not names:
            say(ax, "nothing to choose: there is one configuration")
            return figure
        epochs = int(run.measured["epochs"].mode().iloc[0])
        trials = lines_to_draw(run.budget(epochs)).sort_values("error", ascending=False)
        lines = heights(run, trials, names)
        norm = Normalize(*np.percentile(1 - trials["error"], [2, 98]))
        # Orange to blue: told apart by colour-blind readers, and on light and dark pages.
        shades = LinearSegmentedColormap.from_list("accuracy", [BASE, FAINT, GOOD])
        at = np.arange(len(names))
        for line, top1 in zip(lines, 1 - trials["error"], strict=True):
            ax.plot(at, line, color=shades(norm(top1)), linewidth=0.9, alpha=0.6)
        winner = run.incumbent
        if winner is not None:
            line = heights(run, run.trials.loc[[winner["trial"]]], names, jitter=0.0)[0]
            ax.plot(at, line, color=INK, linewidth=2.4, marker="o", markersize=5, label="the winner")
            _legend(figure, ax, 1)
        for place, name in enumerate(names):
            _ticks(ax, place, run.hyperparameters[name].choices)
        ax.set_xticks(at, [wrap(name, 10) for name in names], fontsize=9)
        ax.set_xlim(-0.3, len(names) - 0.45)
        ax.set_ylim(-0.08, 1.08)
        ax.set_yticks([])
        ax.spines["left"].set_visible(False)
        ax.spines["bottom"].set_visible(False)
        ax.grid(axis="x", alpha=0.6)
        bar = figure.colorbar(ScalarMappable(norm, shades), ax=ax, fraction=0.03, pad=0.01)
        bar.set_label(f"validation top-1 after {budget_label(epochs)}")
        percent_axis(bar.ax.yaxis)
        every = len(run.budget(epochs))
        shown = f"{len(trials)} of {every:,}" if len(trials) < every else str(every)
        ax.set_title(f"Configurations trained for {budget_label(epochs)}: {shown}")
    return figure


def lines_to_draw(trials: pd.DataFrame) -> pd.DataFrame:
    """Trials to draw as lines: all, or of more than 600 the best 300 and 300 of the others."""
    if len(trials) <= MOST_LINES:
        return trials
    half, ranked = MOST_LINES // 2, trials.sort_values("error")
    return pd.concat([ranked.iloc[:half], ranked.iloc[half:].sample(half, random_state=0)])


def heights(run: Run, trials: pd.DataFrame, names: list[str], jitter: float = 0.035) -> np.ndarray:
    """Where each line crosses each axis, 0 to 1; shifted a little, so that lines stay apart."""
    rng = np.random.default_rng(0)
    columns = []
    for name in names:
        choices = run.hyperparameters[name].choices
        at = codes(run.hyperparameters[name], trials[name])
        columns.append(at / (len(choices) - 1) + rng.uniform(-jitter, jitter, len(trials)))
    return np.stack(columns, axis=1) if columns else np.empty((len(trials), 0))


def _ticks(ax: Axes, place: int, choices: tuple[object, ...]) -> None:
    for code, choice in enumerate(choices):
        ax.annotate(
            shown(choice),
            (place, code / (len(choices) - 1)),
            xytext=(5, 0),
            textcoords="offset points",
            fontsize=8.5,
            va="center",
            zorder=6,
            bbox={"boxstyle": "round,pad=0.12", "facecolor": PAPER, "edgecolor": "none", "alpha": 0.85},
        )
