"""Interactive parallel coordinates: every configuration as a line through its choices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analysis.charts.parts import BASE, FAINT, GOOD, INK, PAPER, SCHEMA, Spec, percent_tip, short, words
from analysis.figures.search import heights, lines_to_draw
from analysis.figures.style import budget_label
from analysis.levels import shown

if TYPE_CHECKING:
    from analysis.frames import Run

# The brush spans axes and a range of heights: a line leaves it at an axis it spans.
_LEAVES = (
    "isValid(brush.axis) && datum.axis >= brush.axis[0] && datum.axis <= brush.axis[1] "
    "&& (datum.at < min(brush.at[0], brush.at[1]) || datum.at > max(brush.at[0], brush.at[1]))"
)


def parallel(run: Run) -> Spec:
    """Configurations of the most used rung and their accuracy; a brush keeps those inside it."""
    epochs = int(run.measured["epochs"].mode().iloc[0])
    trials = lines_to_draw(run.budget(epochs))
    names = [name for name, hp in run.hyperparameters.items() if len(hp.choices) > 1]
    accuracies = 1 - trials["error"]
    low, high = float(accuracies.min()), float(accuracies.max())
    share = (accuracies - low) / max(high - low, 1e-9)
    # Lists keep a large run's page small; Vega unfolds them.
    lines = [
        {"trial": int(number), "top1": float(short(value)), "at": line, "axis": list(range(len(line)))}
        for number, value, line in zip(
            trials["trial"],
            accuracies,
            np.column_stack([heights(run, trials, names), share]).round(3).tolist(),
            strict=True,
        )
    ]
    last = len(names)
    x: Spec = {
        "field": "axis",
        "type": "quantitative",
        "scale": {"domain": [-0.3, last + 0.7], "nice": False},
        "axis": {"values": list(range(last + 1)), "labels": False, "title": None, "domain": False},
    }
    y: Spec = {
        "field": "at",
        "type": "quantitative",
        "axis": None,
        "scale": {"domain": [-0.08, 1.08], "nice": False},
    }
    return {
        "$schema": SCHEMA,
        "width": "page:wide",
        "height": 330,
        "layer": [
            {**_lines(f"top-1 after {budget_label(epochs)}", x, y), "data": {"values": lines}},
            {
                "data": {"values": _winner(run, names)},
                "mark": {"type": "line", "strokeWidth": 2.5, "color": INK, "point": {"color": INK}},
                "encoding": {"x": x, "y": y, "tooltip": {"value": "the winner"}},
            },
            {
                "data": {"values": _choices(run, names, low, high)},
                "encoding": {"x": x, "y": y, "text": {"field": "text"}},
                "layer": [
                    # A rim in the page's colour, so that lines do not run through the words.
                    {"mark": {**words("left"), "dx": 7, "stroke": PAPER, "strokeWidth": 4}},
                    {"mark": {**words("left"), "dx": 7}},
                ],
            },
            {
                "data": {
                    "values": [
                        {"axis": axis, "text": name.split("_")} for axis, name in enumerate([*names, "top-1"])
                    ]
                },
                "mark": {**words("center"), "baseline": "bottom"},
                "encoding": {"x": x, "y": {"value": -4}, "text": {"field": "text"}},
            },
        ],
    }


def _lines(title: str, x: Spec, y: Spec) -> Spec:
    return {
        "transform": [
            {"flatten": ["at", "axis"]},
            {"calculate": f"{_LEAVES} ? 1 : 0", "as": "out"},
            {"joinaggregate": [{"op": "sum", "field": "out", "as": "outs"}], "groupby": ["trial"]},
            {"calculate": "datum.outs > 0 ? 0.04 : 0.7", "as": "strength"},
        ],
        "params": [{"name": "brush", "select": {"type": "interval"}}],
        "mark": {"type": "line", "strokeWidth": 1.2},
        "encoding": {
            "x": x,
            "y": y,
            "detail": {"field": "trial"},
            "opacity": {"field": "strength", "type": "quantitative", "scale": None},
            "color": {
                "field": "top1",
                "type": "quantitative",
                "scale": {"range": [BASE, FAINT, GOOD], "interpolate": "rgb"},
                "legend": {"title": title, "format": ".3~%", "orient": "bottom"},
            },
            "tooltip": [{"field": "trial", "title": "trial"}, percent_tip("top1", "top-1")],
        },
    }


def _winner(run: Run, names: list[str]) -> list[Spec]:
    """The winner's line, without a place on the last axis: it may have been trained for longer."""
    if run.incumbent is None:
        return []
    line = heights(run, run.trials.loc[[run.incumbent["trial"]]], names, jitter=0.0)[0]
    return [{"axis": axis, "at": at} for axis, at in enumerate(line.round(3).tolist())]


def _choices(run: Run, names: list[str], low: float, high: float) -> list[Spec]:
    marks = [
        {"axis": axis, "at": code / (len(run.hyperparameters[name].choices) - 1), "text": shown(choice)}
        for axis, name in enumerate(names)
        for code, choice in enumerate(run.hyperparameters[name].choices)
    ]
    ends = [(0, low), (1, high)]
    return marks + [{"axis": len(names), "at": at, "text": f"{100 * value:.1f}%"} for at, value in ends]
