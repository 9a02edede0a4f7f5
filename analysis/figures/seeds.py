"""Learning curves as means over seeds with error bars, as NEXcepTion's Figures 5 and 6."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from analysis.figures.style import BASE, colour, drawing, learning_panels
from analysis.seeds import BASE_LABEL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from analysis.seeds import Seeds


def seeds(several: Seeds) -> Figure:
    """Curves of the confirmed configurations and the base architecture over seeds."""
    with drawing(8.8, 4.1, columns=2) as (figure, axes):
        names = list(dict.fromkeys(several.curves["label"]))
        found = [name for name in names if name != BASE_LABEL]
        for ax, column in learning_panels(axes[0], "Learning curves over seeds, mean and standard deviation"):
            for place, name in enumerate(names):
                base = name == BASE_LABEL
                paint = BASE if base else colour(found.index(name))
                rows = several.curves[several.curves["label"] == name]
                runs = [part for _, part in rows.groupby("repeat")]
                mean_curve(ax, runs, column, paint, name, place, "--" if base else "-")
        figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def mean_curve(
    ax: Axes,
    found: Sequence[pd.DataFrame],
    column: str,
    paint: str,
    label: str,
    place: int,
    style: str = "-",
) -> None:
    """Draws the mean of curves with standard deviations.

    Args:
        ax: Axes to draw on.
        found: A frame a seed, with ``epoch`` and the column; empty ones are left out, and error bars
            need two.
        column: What to draw.
        paint: Its colour.
        label: Its name; the number of seeds is added.
        place: Moved aside so far, so that bars do not hide each other.
        style: Line style.
    """
    series = [points.set_index("epoch")[column] for points in found if len(points)]
    if not series:
        return
    table = pd.concat(series, axis=1).sort_index()
    spread = table.std(axis=1, ddof=1) if len(series) > 1 else None
    ax.errorbar(
        table.index + 0.04 * place,
        table.mean(axis=1),
        yerr=spread,
        color=paint,
        linestyle=style,
        marker=".",
        capsize=2,
        elinewidth=1,
        label=f"{label} ({len(series)})",
    )
