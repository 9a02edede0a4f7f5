"""Interactive learning curves of the ten best, and over seeds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from analysis import curves
from analysis.charts.parts import BASE, SCHEMA, Spec, legend, paint, short
from analysis.figures.search import TOP
from analysis.figures.style import SERIES, colour
from analysis.seeds import BASE_LABEL

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analysis.frames import Run
    from analysis.seeds import Seeds

_FORMATS = {"top1": ".2%", "val_loss": ".3f"}
_SOLID, _DASHED = [1, 0], [5, 3]


def learning_curves(run: Run) -> Spec:
    """Curves of the ten best and of the base architecture; the legend picks."""
    labels = {
        row["config_id"]: f"trial {row['trial']}" for _, row in curves.ranking(run).head(TOP).iterrows()
    }
    base = run.measured[run.measured["origin"] == "baseline"]
    if not base.empty:
        labels[base["config_id"].iloc[0]] = BASE_LABEL
    rows = [
        {
            "label": label,
            "epoch": int(row["epoch"]),
            "top1": float(short(row["top1"])),
            "val_loss": float(short(row["val_loss"])),
        }
        for config_id, label in labels.items()
        for _, row in curves.curve(run, config_id).iterrows()
    ]
    return _chart(rows, list(labels.values()), spread=False)


def seeds(several: Seeds) -> Spec:
    """Mean curves over seeds with standard deviations, as NEXcepTion's Figures 5 and 6; the legend picks."""
    top1, loss = (several.means(name).set_index(["label", "epoch"]) for name in ("top1", "val_loss"))
    joined = top1.assign(mean_loss=loss["mean"], sd_loss=loss["sd"]).reset_index()
    rows = [
        {
            "label": row["label"],
            "epoch": int(row["epoch"]),
            "seeds": int(row["seeds"]),
            "top1": float(short(row["mean"])),
            "val_loss": float(short(row["mean_loss"])),
            "sd_top1": _or_zero(row["sd"]),
            "sd_val_loss": _or_zero(row["sd_loss"]),
        }
        for _, row in joined.iterrows()
    ]
    return _chart(rows, list(dict.fromkeys(joined["label"])), spread=True)


def _or_zero(value: float) -> float:
    return 0.0 if np.isnan(value) else float(short(value))


def _chart(rows: Sequence[Spec], labels: Sequence[str], *, spread: bool) -> Spec:
    return {
        "$schema": SCHEMA,
        "data": {"values": list(rows)},
        "columns": "page:columns",
        "concat": [
            _panel("top1", "validation top-1", ".3~%", labels, spread=spread),
            _panel("val_loss", "validation loss", "~g", labels, spread=spread),
        ],
    }


def _panel(column: str, title: str, numbers: str, labels: Sequence[str], *, spread: bool) -> Spec:
    y = {
        "field": column,
        "type": "quantitative",
        "title": title,
        "scale": {"zero": False},
        "axis": {"format": numbers},
    }
    tips = [
        {"field": "label", "title": "network"},
        {"field": "epoch", "title": "epochs"},
        {"field": column, "title": title, "format": _FORMATS[column]},
    ]
    if spread:
        tips += [
            {"field": f"sd_{column}", "title": "± sd", "format": _FORMATS[column]},
            {"field": "seeds", "title": "seeds"},
        ]
    line: Spec = {"mark": {"type": "line", "point": {"size": 26}}, "encoding": {"y": y, "tooltip": tips}}
    line["encoding"]["strokeDash"] = _dashes(labels)
    if column == "top1":
        select = {"type": "point", "fields": ["label"]}
        line["params"] = [{"name": "picked", "select": select, "bind": "legend"}]
    return {
        "width": "page:half",
        "height": 280,
        "encoding": {
            "x": {"field": "epoch", "type": "quantitative", "title": "epochs", "axis": {"tickMinStep": 1}},
            "color": _colours(labels),
            "opacity": {"condition": {"param": "picked", "value": 1}, "value": 0.08},
        },
        "layer": [*([_bars(column, y)] if spread else []), line],
    }


def _bars(column: str, y: Spec) -> Spec:
    return {
        "transform": [
            {"calculate": f"datum.{column} - datum.sd_{column}", "as": "low"},
            {"calculate": f"datum.{column} + datum.sd_{column}", "as": "high"},
        ],
        "mark": {"type": "rule", "strokeWidth": 1.4},
        "encoding": {"y": {**y, "field": "low"}, "y2": {"field": "high"}},
    }


def _colours(labels: Sequence[str]) -> Spec:
    """The best and the base architecture in their own colours, the others in the rest of the palette."""
    found = [name for name in labels if name != BASE_LABEL]
    paints = {name: paint(colour(place)) for place, name in enumerate(found)}
    return {
        "field": "label",
        "type": "nominal",
        "scale": {"domain": list(labels), "range": [paints.get(name, BASE) for name in labels]},
        "legend": _legend(),
    }


def _dashes(labels: Sequence[str]) -> Spec:
    """Dashes the base architecture, and curves that share a colour."""
    found = [name for name in labels if name != BASE_LABEL]
    dashed = {BASE_LABEL, *found[len(SERIES) :]}
    return {
        "field": "label",
        "type": "nominal",
        "scale": {
            "domain": list(labels),
            "range": [_DASHED if name in dashed else _SOLID for name in labels],
        },
        "legend": _legend(),
    }


def _legend() -> Spec:
    return legend("click to pick, shift-click for more")
