"""Learning curves on the held-out images over seeds, as in NEXcepTion's Figures 5 and 6."""

from __future__ import annotations

import csv
import io
import statistics
from typing import TYPE_CHECKING, Any

from nas.util.errors import SettingError, setting
from nas.util.files import overwrite, replacing, written
from nas.util.quantities import counted

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

CSV = "curves.csv"
# File -> column, what the axis says, factor; Figure 5 and Figure 6.
FIGURES = {
    "accuracy.png": ("val_top1", "held-out top-1, %", 100.0),
    "loss.png": ("val_loss", "held-out cross-entropy", 1.0),
}
_COLUMNS = ("val_top1", "val_top5", "val_loss", "train_loss")
_PAINTS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")  # Okabe and Ito's
_BARS = 20  # most error bars along a curve; more would hide it

Curve = list[dict[str, Any]]


def read(output: Path) -> tuple[str, list[Curve]]:
    """Reads the curves of an earlier training.

    Args:
        output: Folder of the training; unfinished seeds are left out.

    Returns:
        The network's name, and one curve per seed.

    Raises:
        UserError: If it holds no finished seed.
    """
    from nas.util.documents import read_json

    found = sorted(
        output.glob("seed-*/result.json"), key=lambda path: (len(path.parent.name), path.parent.name)
    )
    if not found:
        raise SettingError("beside", output, "holds no finished seed; must be a folder that nas.train wrote")
    training, results = read_json(output / "train.json"), [read_json(path) for path in found]
    try:
        name = str(training["training"]["model"])
        seeds = [[_row(row) for row in result["curve"]] for result in results]
    except (KeyError, TypeError, ValueError):
        raise SettingError(
            "beside", output, "cannot be read; must be a folder that nas.train wrote"
        ) from None
    return name, seeds


def _row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values of an epoch to draw, checked to be numbers."""
    figures = {column: None if row[column] is None else float(row[column]) for column in _COLUMNS}
    return {"epoch": int(row["epoch"]), **figures}


def refuse_duplicates(output: Path, beside: Sequence[Path]) -> None:
    """Refuses a training that would be drawn twice.

    Raises:
        UserError: If a further folder is the output or occurs twice.
    """
    seen = {output.resolve()}
    for path in beside:
        if path.resolve() in seen:
            raise SettingError(
                "beside", path, f"is drawn already; name each folder once, and not {setting('output')}"
            )
        seen.add(path.resolve())


def unique(named: Sequence[tuple[str, Path]]) -> list[str]:
    """Names curves in a legend: by the network, with its folder where two names are the same."""
    names = [name for name, _ in named]
    short = [name if names.count(name) == 1 else f"{name} ({path.name})" for name, path in named]
    return [
        text if short.count(text) == 1 else f"{name} ({path})"
        for text, (name, path) in zip(short, named, strict=True)
    ]


def write(output: Path, curves: Mapping[str, Sequence[Curve]]) -> list[str]:
    """Writes the figures, and their numbers as CSV.

    Args:
        output: Folder of the files.
        curves: Curves by network, one per seed.

    Returns:
        Names of the files; none without held-out images.

    Raises:
        UserError: If the folder cannot be written.
    """
    rows = [row for name, seeds in curves.items() for row in table(name, seeds)]
    with written(setting("output", output), "must be a folder"):
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        overwrite(output / CSV, buffer.getvalue())
        names = [CSV]
        for file, (column, label, factor) in FIGURES.items():
            shown = [row for row in rows if row[f"{column}_mean"] is not None]
            if shown:
                with replacing(output / file) as temporary:
                    _draw(temporary, shown, column, label, factor)
                names.append(file)
    return names


def table(name: str, seeds: Sequence[Curve]) -> list[dict[str, Any]]:
    """Returns a row per epoch: mean and sample standard deviation over seeds (None for one seed)."""
    rows = []
    for epochs in zip(*seeds, strict=False):
        row: dict[str, Any] = {"network": name, "epoch": epochs[0]["epoch"], "seeds": len(epochs)}
        for column in _COLUMNS:
            values = [epoch[column] for epoch in epochs if epoch[column] is not None]
            row[f"{column}_mean"] = statistics.fmean(values) if values else None
            row[f"{column}_sd"] = statistics.stdev(values) if len(values) > 1 else None
        rows.append(row)
    return rows


def _draw(path: Path, rows: Sequence[Mapping[str, Any]], column: str, label: str, factor: float) -> None:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(7, 4.6), layout="constrained")
    axes = figure.subplots()
    networks = list(dict.fromkeys(row["network"] for row in rows))
    for place, name in enumerate(networks):
        own = [row for row in rows if row["network"] == name]
        spread = [factor * (row[f"{column}_sd"] or 0.0) for row in own]
        apart = max(1, -(-len(own) // _BARS))
        seeds = own[0]["seeds"]
        axes.errorbar(
            [row["epoch"] for row in own],
            [factor * row[f"{column}_mean"] for row in own],
            yerr=spread if seeds > 1 else None,
            # The networks' error bars are at different epochs, so that they do not overlap.
            errorevery=(place * apart // len(networks), apart),
            color=_PAINTS[place % len(_PAINTS)],
            linestyle="-" if place < len(_PAINTS) else "--",
            marker="." if len(own) <= _BARS else None,
            capsize=2.5,
            linewidth=1.6,
            elinewidth=1.1,
            label=f"{name}, {counted(seeds, 'seed')}",
        )
    axes.set_xlabel("epoch")
    axes.set_ylabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    many = any(row["seeds"] > 1 for row in rows)
    axes.set_title("mean and standard deviation over seeds" if many else "one seed", fontsize=9, loc="left")
    axes.legend(frameon=False, fontsize=9)
    figure.savefig(path, format="png", dpi=150)
