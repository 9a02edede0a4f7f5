"""Interactive charts of the search: its progress, and accuracy against size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from analysis import pareto
from analysis.charts.parts import (
    BASE,
    FAINT,
    GOOD,
    INK,
    SCHEMA,
    Spec,
    changes,
    legend,
    paint,
    percent_tip,
    records,
    short,
    top1,
)
from analysis.figures.search import time_unit
from analysis.figures.style import budget_label, colour
from analysis.seeds import BASE_LABEL
from nas.util.quantities import format_count

if TYPE_CHECKING:
    from analysis.frames import Run

MOST_DOTS = 2_000  # more make a large page
_TIME = {"field": "time", "type": "quantitative"}


def progress(run: Run) -> Spec:
    """Trials and the incumbent over search time; a brush below chooses what is shown above."""
    unit, name = time_unit(run.clock)
    points = _trials(run, unit)
    detail: Spec = {
        "width": "page:width",
        "height": 300,
        "encoding": {
            "x": {
                **_TIME,
                "title": f"search time ({name})",
                "scale": {"domain": {"param": "brush", "encoding": "x"}},
            },
            "y": top1(),
            "color": {"field": "kind", "type": "nominal", "scale": _kinds(run), "legend": legend()},
        },
        "layer": [_dots(points, name), _leads(run, unit), *_baseline(run)],
    }
    overview: Spec = {
        "width": "page:width",
        "height": 44,
        "data": {"values": records(points[["time", "top1"]])},
        "params": [{"name": "brush", "select": {"type": "interval", "encodings": ["x"]}}],
        "mark": {"type": "circle", "size": 9, "color": FAINT, "opacity": 1},
        "encoding": {
            "x": {
                **_TIME,
                "title": "drag here to look closer; double click for all",
                "axis": {"grid": False},
            },
            "y": {**top1(), "axis": None},
        },
    }
    return {"$schema": SCHEMA, "vconcat": [detail, overview], "spacing": 8}


def _trials(run: Run, unit: float) -> pd.DataFrame:
    measured = run.measured
    if len(measured) > MOST_DOTS:  # those of the highest budget first, of the others a fair part
        order = measured.sample(frac=1.0, random_state=0).sort_values("epochs", kind="stable")
        measured = order.tail(MOST_DOTS)
    return pd.DataFrame(
        {
            "time": (measured["clock"] / unit).round(4),
            "top1": short(1 - measured["error"]),
            "kind": [_kind(epochs) for epochs in measured["epochs"]],
            "trial": measured["trial"],
            "changes": changes(run, measured),
        }
    )


def _kind(epochs: int) -> str:
    return f"trials, {budget_label(epochs)}"


def _kinds(run: Run) -> Spec:
    """A colour for each rung, the best so far and the base architecture."""
    names = [_kind(epochs) for epochs in run.rungs]
    paints = [paint(colour(place)) for place in range(len(names))]
    return {"domain": [*names, "best so far", BASE_LABEL], "range": [*paints, INK, BASE]}


def _dots(points: pd.DataFrame, unit: str) -> Spec:
    return {
        "data": {"values": records(points)},
        "params": [{"name": "shown", "select": {"type": "point", "fields": ["kind"]}, "bind": "legend"}],
        "mark": {"type": "circle", "clip": True, "size": 34},
        "encoding": {
            "opacity": {"condition": {"param": "shown", "value": 0.75}, "value": 0.04},
            "tooltip": [
                {"field": "trial", "title": "trial"},
                {"field": "kind", "title": "budget"},
                percent_tip("top1", "top-1"),
                {"field": "time", "title": f"ended after ({unit})", "format": ".3~f"},
                {"field": "changes", "title": "changes"},
            ],
        },
    }


def _leads(run: Run, unit: float) -> Spec:
    leads = run.incumbents
    best = pd.DataFrame({"time": [*leads["clock"], run.clock], "top1": [*leads["top1"], np.nan]}).ffill()
    best = best.dropna().assign(time=lambda frame: (frame["time"] / unit).round(4), kind="best so far")
    return {
        "data": {"values": records(best)},
        "mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 2, "clip": True},
    }


def _baseline(run: Run) -> list[Spec]:
    baseline = run.baseline(run.rungs[-1])
    if baseline is None:
        return []
    row = {"top1": float(short(1 - baseline["error"])), "kind": BASE_LABEL}
    return [
        {
            "data": {"values": [row]},
            "mark": {"type": "rule", "strokeDash": [6, 4], "strokeWidth": 1.6},
            "encoding": {
                "x": None,
                "tooltip": [percent_tip("top1", f"{BASE_LABEL}, {budget_label(run.rungs[-1])}")],
            },
        }
    ]


def size(run: Run) -> Spec:
    """Accuracy against MACs and parameters as bubbles; the one under the pointer is marked in both."""
    trials = pareto.candidates(run)
    epochs = int(trials["epochs"].iloc[0])
    # A base architecture that leads is shown as the base architecture.
    marked = ((run.incumbent, "winner"), (run.baseline(epochs), BASE_LABEL))
    names = {int(row["trial"]): name for row, name in marked if row is not None}
    values = pd.DataFrame(
        {
            "trial": trials["trial"],
            "top1": short(1 - trials["error"]),
            "macs": trials["macs"],
            "params": trials["params"],
            "macs_text": [format_count(value) for value in trials["macs"]],
            "params_text": [format_count(value) for value in trials["params"]],
            "kind": [names.get(number, "networks") for number in trials["trial"]],
            "changes": changes(run, trials),
        }
    )
    return {
        "$schema": SCHEMA,
        "data": {"values": records(values)},
        "resolve": {"scale": {"size": "independent"}},
        "columns": "page:columns",
        "concat": [
            _panel(trials, epochs, "macs", "params", "MACs an image (bubble: parameters)"),
            _panel(trials, epochs, "params", "macs", "parameters (bubble: MACs)"),
        ],
    }


def _panel(trials: pd.DataFrame, epochs: int, cost: str, area: str, title: str) -> Spec:
    front = pareto.front(trials, cost)
    line = pd.DataFrame({cost: front[cost], "top1": short(1 - front["error"])})
    return {
        "width": "page:half",
        "height": 300,
        "encoding": {
            "x": {
                "field": cost,
                "type": "quantitative",
                "title": title,
                "scale": {"zero": False, "padding": 24},
                "axis": {"format": "~s", "tickCount": 6},
            },
            "y": top1(f"top-1 after {budget_label(epochs)}", padding=24),
        },
        "layer": [
            {
                "data": {"values": records(line)},
                "mark": {"type": "line", "interpolate": "step-after", "color": GOOD},
            },
            _bubbles(cost, area),
        ],
    }


def _bubbles(cost: str, area: str) -> Spec:
    pointed: dict[str, Any] = {
        "type": "point",
        "on": "pointerover",
        "clear": "pointerout",
        "fields": ["trial"],
    }
    either = {"or": [{"param": f"over_{name}", "empty": False} for name in ("macs", "params")]}
    return {
        "params": [{"name": f"over_{cost}", "select": pointed}],
        "mark": {"type": "circle", "stroke": INK},
        "encoding": {
            "size": {
                "field": area,
                "type": "quantitative",
                "scale": {"range": [60, 700], "zero": False},
                "legend": None,
            },
            "color": {
                "field": "kind",
                "type": "nominal",
                "scale": {"domain": ["networks", "winner", BASE_LABEL], "range": [FAINT, GOOD, BASE]},
                "legend": {**legend(), "symbolStrokeWidth": 0},
            },
            "opacity": {"value": 0.75},
            "strokeWidth": {"condition": {"test": either, "value": 2.5}, "value": 0},
            "tooltip": [
                {"field": "trial", "title": "trial"},
                percent_tip("top1", "top-1"),
                {"field": "macs_text", "title": "MACs"},
                {"field": "params_text", "title": "parameters"},
                {"field": "changes", "title": "changes"},
            ],
        },
    }
