"""The report's interactive charts, as Vega-Lite specifications with their data inside.

Strings that begin with ``page:`` are filled in by the page: its colours, and the width there is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.figures import style as figures

if TYPE_CHECKING:
    import pandas as pd

    from analysis.frames import Run

Spec = dict[str, Any]

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
INK, PAPER = "page:ink", "page:paper"


def paint(colour: str) -> str:
    """Returns a colour of the figures' palette in the page's light or dark shade."""
    return f"page:colour-{figures.PALETTE.index(colour)}"


GOOD, BASE, FAINT = paint(figures.GOOD), paint(figures.BASE), paint(figures.FAINT)


def top1(title: str = "validation top-1", **scale: Any) -> Spec:
    """The axis of accuracies."""
    return {
        "field": "top1",
        "type": "quantitative",
        "title": title,
        "scale": {"zero": False, **scale},
        "axis": {"format": ".3~%"},
    }


def percent_tip(field: str, title: str) -> Spec:
    """Builds a tooltip entry for a share."""
    return {"field": field, "type": "quantitative", "title": title, "format": ".2%"}


def words(align: str) -> Spec:
    """A mark of small text."""
    return {"type": "text", "align": align, "fontSize": 11, "color": INK}


def legend(title: str | None = None) -> Spec:
    """A legend under the chart, in as many columns as the page has room for."""
    return {"title": title, "orient": "bottom", "columns": "page:legend-columns", "labelLimit": 300}


def changes(run: Run, trials: pd.DataFrame) -> list[str]:
    """Returns the differences of each trial's network from the base architecture."""
    return [run.changes(row) for row in trials[list(run.hyperparameters)].to_dict("records")]


def short(values: Any) -> Any:
    """Rounds numbers to the visible digits, for a smaller page."""
    return np.round(values, 5)


def records(frame: pd.DataFrame) -> list[Spec]:
    """Converts a frame's rows for Vega."""
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict("records")]
