"""The best configurations over several seeds, as ``nas.confirm`` trained them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from nas.confirm import record
from nas.run import journal
from nas.run.folder import Run as Folder

if TYPE_CHECKING:
    from analysis.frames import Run
    from nas.run.confirmed_file import ConfirmedConfig, ConfirmedFile
    from nas.run.state import SearchState, Trial


BASE_LABEL = "base architecture"


@dataclass(frozen=True)
class Seeds:
    """The results of several seeds.

    Attributes:
        found: ``confirmed.json``.
        curves: One row an epoch of a compared seed: ``config_id``, ``label`` (``trial 68`` or ``base
            architecture``), ``repeat`` (from 1), ``epoch``, ``top1`` and ``val_loss``; configurations
            in the order of ``confirmed.json``, the best first.
    """

    found: ConfirmedFile
    curves: pd.DataFrame

    @property
    def compared(self) -> int:
        """Number of seeds that all configurations have."""
        return len(self.found.compared)

    @property
    def winner(self) -> ConfirmedConfig | None:
        """Entry of the best configuration in ``confirmed.json``, None before any comparison."""
        return self.found.best

    def means(self, column: str) -> pd.DataFrame:
        """Mean and standard deviation over seeds of ``top1`` or ``val_loss``.

        Returns:
            One row a configuration and epoch: ``label``, ``epoch``, ``mean``, ``sd`` (NaN for one
            seed) and ``seeds``.
        """
        groups = self.curves.groupby(["label", "epoch"], sort=False)[column]
        return groups.agg(mean="mean", sd="std", seeds="count").reset_index()


def seeds(run: Run) -> Seeds | None:
    """Reads the results of ``nas.confirm``, None if there are none yet.

    Raises:
        UserError: If its files are damaged.
    """
    folder = Folder(run.path)
    found = folder.read_confirmed()
    if found is None or not folder.confirm_journal.exists():
        return None
    compared = set(found.compared) or set(range(1, found.seeds + 1))
    known = record.Record.of(journal.read(folder.confirm_journal).events)
    rows = [
        {
            "config_id": row.config_id,
            "label": label(row),
            "repeat": repeat,
            "epoch": epoch,
            "top1": metrics["top1"],
            "val_loss": metrics["val_loss"],
        }
        for row in found.configurations
        for repeat, trial in enumerate(_trials(row, known.state, run.state), start=1)
        if repeat in compared and trial is not None
        for epoch, metrics in sorted(trial.curve.items())
    ]
    return Seeds(found, pd.DataFrame(rows)) if rows else None


def _trials(row: ConfirmedConfig, confirmed: SearchState, searched: SearchState) -> list[Trial | None]:
    """Returns the trainings of a configuration, including the search's, None where there is none."""
    others = row.repeated_trials or [None] * len(row.trials)
    return [
        confirmed.trials.get(mine or 0) if other is None else searched.trials.get(other)
        for mine, other in zip(row.trials, others, strict=True)
    ]


def label(row: ConfirmedConfig) -> str:
    """Returns the name of a configuration of ``confirmed.json``."""
    return BASE_LABEL if row.baseline else f"trial {row.searched_trial}"
