"""A table of several networks on several datasets, like Table 2 of the NEXcepTion paper."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from nas.util import tables
from nas.util.errors import setting
from nas.util.files import overwrite, written

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from nas.evaluate.scores import Scores

FILES = ("table.csv", "table.md")
# Names of datasets in the paper; others have the user's names.
_TITLES = {"imagenet-a": "ImageNet-A", "imagenet-r": "ImageNet-R", "imagenet-sketch": "ImageNet-Sketch"}


@dataclass(frozen=True)
class NetworkScores:
    """The row of a network.

    Attributes:
        model: Name of the network.
        macs: Multiply-accumulates of one image, which the paper calls FLOPs.
        params: Number of trainable parameters.
        scores: Scores by dataset, so far.
    """

    model: str
    macs: int
    params: int
    scores: dict[str, Scores] = field(default_factory=dict)


def cells(line: NetworkScores, sets: Sequence[str]) -> dict[str, str]:
    """Formats a row: top-1 in percent, with two decimals as in the paper."""
    row = {"model": line.model, "GMACs / M params": f"{line.macs / 1e9:.1f} / {line.params / 1e6:.1f}"}
    for name in sets:
        found = line.scores.get(name)
        row[_TITLES.get(name, name)] = "–" if found is None else f"{100 * found.top1:.2f}"
    return row


def show(lines: Sequence[NetworkScores], sets: Sequence[str]) -> None:
    """Prints the table."""
    rows = [cells(line, sets) for line in lines]
    table = tables.table("top-1, %", *rows[0], words=("model",), fold=True)
    for row in rows:
        table.add_row(*row.values())
    tables.show(table)


def markdown(lines: Sequence[NetworkScores], sets: Sequence[str]) -> str:
    """Formats the table as Markdown."""
    rows = [cells(line, sets) for line in lines]
    written_out = tables.markdown(list(rows[0]), (row.values() for row in rows), figures=True)
    return "\n".join(written_out) + "\n"


def write(target: Path, lines: Sequence[NetworkScores], sets: Sequence[str]) -> None:
    """Writes table.csv, with all scores of all datasets, and table.md; earlier files are replaced.

    Raises:
        UserError: If the folder cannot be written.
    """
    with written(setting("output", target), "must be a folder"):
        target.mkdir(parents=True, exist_ok=True)
        for name, text in zip(FILES, (_csv(lines, sets), markdown(lines, sets)), strict=True):
            overwrite(target / name, text)


def _csv(lines: Sequence[NetworkScores], sets: Sequence[str]) -> str:
    names = ("images", "top1", "top5", "loss", "ece")
    head = ["model", "macs", "params", *(f"{one}_{name}" for one in sets for name in names)]
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, head, lineterminator="\n")
    writer.writeheader()
    for line in lines:
        row: dict[str, Any] = {"model": line.model, "macs": line.macs, "params": line.params}
        for one, found in line.scores.items():
            row |= {f"{one}_{name}": value for name, value in asdict(found).items()}
        writer.writerow(row)
    return buffer.getvalue()
