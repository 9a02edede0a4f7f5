"""Checkpoints and weights on the search's side of Dask, and what of them is sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.execution.dask.messages import SentFile
from nas.trial.checkpoint import CheckpointStore
from nas.trial.weights import WeightStore

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nas.execution.dask.messages import Outcome
    from nas.execution.messages import TrialSpec
    from nas.execution.settings import WorkerSettings


class Stores:
    """The run's checkpoints and weights."""

    def __init__(self, settings: WorkerSettings) -> None:
        """Opens both stores; ``settings`` has absolute paths."""
        folder, weights = settings.checkpoints, settings.weights
        self._checkpoints = CheckpointStore(folder, settings.quota_bytes, weights=weights)
        self._weights = WeightStore(weights or folder / "weights", settings.quota_bytes)

    def packed(self, spec: TrialSpec) -> SentFile | None:
        """Returns the checkpoint that a trial continues, for a worker that cannot read it; None if new."""
        found = self._checkpoints.get(spec.config_id, spec.epochs)
        return None if found is None else SentFile(*found)

    def unpack(self, outcome: Outcome) -> None:
        """Stores what a worker sent.

        Raises:
            OSError: If it cannot be written.
        """
        if outcome.checkpoint is not None:
            self._checkpoints.put(outcome.checkpoint.name, outcome.checkpoint.data)
        if outcome.weights is not None:
            self._weights.put(outcome.weights.name, outcome.weights.data)

    def prune(self, spec: TrialSpec, running: Iterable[str]) -> None:
        """Deletes checkpoints that neither an ended trial nor one of the running ones needs.

        Args:
            spec: The trial that ended; its ``keep`` names what may be continued.
            running: Configurations that are being trained or wait.

        Raises:
            OSError: If one cannot be deleted.
        """
        self._checkpoints.prune({*spec.keep, spec.config_id, *running}, spec.keep)
