"""Opening a run's tracker."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from nas.tracking import place
from nas.tracking.settings import MLFLOW, TENSORBOARD

if TYPE_CHECKING:
    from nas.run.folder import Run
    from nas.run.tracking_file import TrackingFile
    from nas.tracking.protocol import Tracker

_EXPERIMENT = "smacnas"


def opened(run: Run, tracked: TrackingFile) -> Tracker:
    """Opens a run's tracker, which may take seconds to import.

    Args:
        run: The run.
        tracked: What ``tracking.json`` says.
    """
    home = place.folder(tracked.log, run.path)
    if tracked.log == TENSORBOARD:
        from nas.tracking.to_tensorboard import TensorBoard

        return TensorBoard(home)
    if tracked.log == MLFLOW:
        from nas.tracking.to_mlflow import MLflow

        own = "MLFLOW_TRACKING_URI" not in os.environ
        experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME") or _EXPERIMENT
        return MLflow(place.mlflow_uri(run.path), home / "artifacts" if own else None, tracked.id, experiment)
    from nas.tracking.to_wandb import Wandb

    return Wandb(home, tracked.id, run.name, place.wandb_mode())
