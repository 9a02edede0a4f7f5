"""Figures of importance: bars for each rung with error bars, as in NEXcepTion's Figure 4."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analysis.figures.style import (
    BASE,
    FAINT,
    GOOD,
    INK,
    budget_label,
    colour,
    drawing,
    percent_axis,
    say,
    wrap,
)
from analysis.levels import shown

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from analysis.frames import Run
    from analysis.importance.by_budget import Importances

TITLES = {
    "lpi": "Local importance around the winner",
    "fanova": "fANOVA: importance over the whole space",
    "fanova_pairs": "fANOVA: what two choices do only together",
    "ablation": "From the base architecture to the winner, most helpful change first",
}
_PAIRS = 10


def all_figures(run: Run, found: Importances, choices: pd.DataFrame) -> dict[str, Figure]:
    """Every figure of this module, by file name without suffix."""
    return {
        "importance-lpi": bars(run, found, "lpi"),
        "importance-fanova": bars(run, found, "fanova"),
        "importance-fanova-pairs": pairs(found),
        "importance-ablation": ablation(run, found),
        "marginals": marginals(run, choices),
    }


def bars(run: Run, found: Importances, method: str) -> Figure:
    """Bars by hyperparameter and rung; error bars are bootstrap (or else tree) standard deviations."""
    table = found.of(method)
    budgets = list(dict.fromkeys(table["budget"]))
    order = _order(table, list(run.hyperparameters))
    with drawing(8.6, 4.2) as (figure, axes):
        ax = axes[0, 0]
        width = 0.84 / max(len(budgets), 1)
        for place, budget in enumerate(budgets):
            rows = table[table["budget"] == budget].set_index("hyperparameter").reindex(order)
            at = np.arange(len(order)) + (place - (len(budgets) - 1) / 2) * width
            overall = budget == "overall"
            trials = int(rows["trials"].max())
            ax.bar(
                at,
                rows["importance"],
                width * 0.92,
                yerr=_clipped(rows),
                color="none" if overall else colour(place),
                edgecolor=INK if overall else colour(place),
                linewidth=1.2 if overall else 0.5,
                error_kw={"elinewidth": 1.1, "capsize": 2, "ecolor": INK},
                label=f"{budget_label(budget)} ({trials} trials)",
            )
        ax.set_xticks(np.arange(len(order)), [wrap(name) for name in order], fontsize=9)
        ax.grid(axis="x", visible=False)
        ax.set_ylim(bottom=0)
        ax.set_ylabel("share of the variance")
        percent_axis(ax.yaxis)
        ax.set_title(TITLES[method])
        ax.legend(loc="upper right")
    return figure


def pairs(found: Importances) -> Figure:
    """The strongest pairs at each rung."""
    table = found.of("fanova_pairs")
    table = table[table["budget"] != "overall"]
    budgets = list(dict.fromkeys(table["budget"]))
    names = table["hyperparameter"] + " x " + table["partner"]
    top = table.assign(name=names).groupby("name")["importance"].max().nlargest(_PAIRS).index[::-1]
    with drawing(8.6, 0.9 + 0.42 * max(len(top), 3)) as (figure, axes):
        ax = axes[0, 0]
        if not len(top):
            say(ax, "the space has fewer than two hyperparameters with a choice")
            return figure
        height = 0.8 / len(budgets)
        for place, budget in enumerate(budgets):
            rows = table.assign(name=names)[table["budget"] == budget].set_index("name").reindex(top)
            at = np.arange(len(top)) - (place - (len(budgets) - 1) / 2) * height
            ax.barh(
                at,
                rows["importance"],
                height * 0.9,
                xerr=_clipped(rows),
                color=colour(place),
                error_kw={"elinewidth": 1, "capsize": 1.5, "ecolor": INK},
                label=f"{budget_label(budget)} ({int(rows['trials'].max())} trials)",
            )
        ax.set_yticks(np.arange(len(top)), top, fontsize=9)
        ax.grid(axis="y", visible=False)
        ax.set_xlim(left=0)
        ax.set_xlabel("share of the variance beyond the two main effects")
        percent_axis(ax.xaxis)
        ax.set_title(TITLES["fanova_pairs"])
        ax.legend(loc="lower right")
    return figure


def ablation(run: Run, found: Importances) -> Figure:
    """Predicted top-1 after each change, one path for each rung."""
    table = found.of("ablation")
    budgets = list(dict.fromkeys(table["budget"]))
    with drawing(8.6, 1.0 + 2.4 * max(len(budgets), 1), rows=max(len(budgets), 1)) as (figure, axes):
        if not budgets:
            say(axes[0, 0], "the winner is the base architecture itself: there is no path to draw")
        config = run.config(found.centre)
        for ax, budget in zip(axes[:, 0], budgets, strict=False):
            rows = table[table["budget"] == budget].sort_values("step")
            gains = rows["importance"].to_numpy()
            after = 1 - rows["error"].astype(float).to_numpy()
            before = after - gains
            at = np.arange(1, len(rows) + 1)
            ax.bar(
                at, gains, bottom=before, width=0.62, color=[GOOD if gain >= 0 else BASE for gain in gains]
            )
            ax.errorbar(
                at, after, yerr=_std(rows), fmt="none", ecolor=INK, elinewidth=1.1, capsize=2, zorder=3
            )
            ax.hlines(before, at - 1 + 0.31, at - 0.31, color=FAINT, linewidth=1)
            ax.plot([0], [before[0]], "o", color=BASE, markersize=7)
            epochs = int(run.measured["epochs"].max()) if budget == "overall" else int(budget)
            _measured(ax, run, found.centre, epochs, len(rows))
            labels = [f"{wrap(name)}\n→ {shown(config[name])}" for name in rows["hyperparameter"]]
            ax.set_xticks([0, *at], ["base", *labels], fontsize=8.5)
            ax.grid(axis="x", visible=False)
            ax.use_sticky_edges = False
            ax.margins(y=0.15)
            percent_axis(ax.yaxis)
            ax.set_ylabel("predicted top-1")
            ax.set_title(f"{budget_label(budget)} ({int(rows['trials'].max())} trials)")
        figure.suptitle(TITLES["ablation"], x=0.01, ha="left", fontweight="bold", fontsize=11)
    return figure


def _measured(ax: Axes, run: Run, centre: int, epochs: int, steps: int) -> None:
    """What the two ends of the path really reached: a model's predictions lie closer together."""
    base = run.baseline(epochs)
    winner = run.budget(epochs)
    winner = winner[winner["config_id"] == run.trials.loc[centre, "config_id"]]
    ends = [] if base is None else [(0, 1 - base["error"])]
    ends += [(steps, 1 - error) for error in winner["error"]]
    if ends:
        at, top1 = zip(*ends, strict=True)
        ax.plot(at, top1, "D", color=INK, markerfacecolor="none", markersize=7, label="measured")
        ax.legend(loc="lower right")


def marginals(run: Run, choices: pd.DataFrame) -> Figure:
    """Mean validation top-1 for each choice with 95 % intervals, and the model's mean beside it."""
    names = [name for name, hp in run.hyperparameters.items() if len(hp.choices) > 1]
    columns = 3
    rows = -(-len(names) // columns)
    budgets = sorted(choices["epochs"].unique())
    with drawing(8.8, 0.6 + 2.15 * rows, rows=rows, columns=columns, sharey=True) as (figure, axes):
        for ax, name in zip(axes.flat, names, strict=False):
            _marginal(ax, choices[choices["hyperparameter"] == name], name, budgets)
        for ax in axes.flat[len(names) :]:
            ax.set_axis_off()
        handles, labels = axes.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(budgets) + 1)
        for ax in axes[:, 0]:
            ax.set_ylabel("validation top-1")
        shown = choices[["top1", "model_top1", "low", "high"]].to_numpy()
        axes[0, 0].set_ylim(max(np.nanmin(shown) - 0.03, 0), min(np.nanmax(shown) + 0.03, 1))
    return figure


def _marginal(ax: Axes, rows: pd.DataFrame, name: str, budgets: list[int]) -> None:
    options = list(dict.fromkeys(rows["choice"]))
    for place, epochs in enumerate(budgets):
        part = rows[rows["epochs"] == epochs]
        at = np.arange(len(options)) + (place - (len(budgets) - 1) / 2) * 0.18
        spread = np.abs(part[["low", "high"]].to_numpy().T - part["top1"].to_numpy())
        ax.errorbar(
            at,
            part["top1"],
            yerr=np.nan_to_num(spread),
            fmt="o",
            markersize=4.5,
            color=colour(place),
            capsize=2,
            elinewidth=1.2,
            label=budget_label(int(epochs)),
        )
        ax.plot(at, part["model_top1"], "_", markersize=9, color=colour(place))
    ax.plot([], [], "_", markersize=9, color=FAINT, label="model's mean over all other choices")
    ax.set_xticks(range(len(options)), [str(option) for option in options], fontsize=9)
    ax.set_xlim(-0.6, len(options) - 0.4)
    ax.set_title(name)
    ax.grid(axis="x", visible=False)
    percent_axis(ax.yaxis)


def _order(table: pd.DataFrame, names: list[str]) -> list[str]:
    """Hyperparameters by overall importance."""
    overall = table[table["budget"] == "overall"].set_index("hyperparameter")["importance"]
    return sorted((name for name in names if name in overall.index), key=lambda name: -overall[name])


def _std(rows: pd.DataFrame) -> np.ndarray:
    """Bootstrap standard deviations, those over trees where there were no repeats."""
    return rows["std_bootstrap"].fillna(rows["std_trees"]).to_numpy(dtype=float)


def _clipped(rows: pd.DataFrame) -> np.ndarray:
    """Error bars that end at 0 and 1: no share is less or more, but for rounding."""
    std, shares = _std(rows), rows["importance"].to_numpy().clip(0, 1)
    return np.stack([np.minimum(std, shares), np.minimum(std, 1 - shares)])
