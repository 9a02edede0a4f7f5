"""The report's table of all trials: data for its script, and the first rows for readers without scripts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.levels import shown
from nas.util.quantities import format_count

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from analysis.frames import Run

MOST_ROWS = 200  # without scripts; all rows of a long search would make the page too large to read


@dataclass(frozen=True)
class Column:
    """A column with its texts and sort keys.

    Attributes:
        title: Head of the column.
        cells: Text of each row.
        sort: Sort key of each row, None where there is none; empty for a column of texts.
        down: Whether it is first sorted in descending order.
    """

    title: str
    cells: tuple[str, ...]
    sort: tuple[float | None, ...] = ()
    down: bool = False

    @property
    def number(self) -> bool:
        """Whether it has numbers."""
        return bool(self.sort)

    def data(self) -> dict[str, Any]:
        """Returns data for the page's script: each distinct text once, and its index for each row."""
        words = list(dict.fromkeys(self.cells))
        places = {word: place for place, word in enumerate(words)}
        found = {"title": self.title, "words": words, "at": [places[cell] for cell in self.cells]}
        return found | ({"sort": self.sort, "number": True, "down": self.down} if self.number else {})


def ordered(run: Run) -> pd.DataFrame:
    """Sorts all trials: the highest rung first, the best first within a rung, then those without an error."""
    return run.trials.sort_values(["epochs", "error", "trial"], ascending=[False, True, True])


def columns(run: Run) -> list[Column]:
    """Returns the columns of the table, in the order of :func:`ordered`."""
    trials = ordered(run)
    accuracy = 100 * (1 - trials["error"])
    return [
        _numbers("trial", trials["trial"], str),
        _numbers("epochs", trials["epochs"], str),
        _words("status", trials["status"]),
        _numbers("top-1", accuracy.round(4), lambda value: f"{value:.2f}%", down=True),
        _numbers("MACs", trials["macs"], format_count),
        _numbers("params", trials["params"], format_count),
        _numbers("seconds", trials["seconds"].astype(float).round(2), lambda value: f"{value:.1f}"),
        _words("origin", trials["origin"]),
        *(_words(name, trials[name]) for name in run.hyperparameters),
        _words("reason", trials["reason"]),
    ]


def rows(found: Sequence[Column]) -> list[tuple[str, ...]]:
    """The first rows, as texts."""
    return list(zip(*(column.cells[:MOST_ROWS] for column in found), strict=True))


def _words(title: str, values: pd.Series) -> Column:
    return Column(title, tuple("" if value is None else shown(value) for value in values))


def _numbers(title: str, values: pd.Series, words: Any, *, down: bool = False) -> Column:
    known = [None if value is None or not np.isfinite(value) else value for value in values.tolist()]
    cells = tuple("–" if value is None else words(value) for value in known)
    return Column(title, cells, tuple(known), down)
