"""The files of an evaluation: scores.json, per_class.csv, confusion.png."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import numpy as np

from nas.evaluate import scores
from nas.run.folder import write_json
from nas.util.errors import setting
from nas.util.files import replacing, written

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from nas.evaluate.predict import Predictions
    from nas.evaluate.scores import Scores

_MOST_NAMES = 40  # more class names than this are illegible along an axis


def write(
    target: Path,
    found: Scores,
    predictions: Predictions,
    class_names: Sequence[str],
    facts: Mapping[str, Any],
) -> None:
    """Writes the three files atomically; earlier files are replaced.

    Raises:
        UserError: If the folder cannot be written.
    """
    with written(setting("output", target), "must be a folder"):
        target.mkdir(parents=True, exist_ok=True)
        rows = scores.per_class(predictions, class_names)
        with replacing(target / "per_class.csv") as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
        _picture(target / "confusion.png", predictions, class_names)
        write_json(target / "scores.json", {**facts, **found.to_json()})


def _picture(path: Path, predictions: Predictions, class_names: Sequence[str]) -> None:
    from matplotlib.figure import Figure

    table = scores.confusion(predictions, len(class_names))
    present = np.flatnonzero(table.sum(1) + table.sum(0))
    table = table[np.ix_(present, present)]
    share = table / np.maximum(table.sum(1, keepdims=True), 1)
    side = 6.4 if len(present) <= _MOST_NAMES else 9.0
    figure = Figure(figsize=(side, 0.9 * side), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(share, vmin=0, vmax=1, cmap="Blues", interpolation="nearest")
    figure.colorbar(image, label="share of the true class")
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    if len(present) <= _MOST_NAMES:
        names = [class_names[int(i)] for i in present]
        axes.set_xticks(range(len(names)), names, rotation=90)
        axes.set_yticks(range(len(names)), names)
    else:
        axes.set_xticks([])
        axes.set_yticks([])
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=150)
