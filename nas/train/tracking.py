"""TensorBoard, Weights & Biases and MLflow, through accelerate."""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from nas.run.folder import write_json
from nas.tracking import place
from nas.tracking.settings import MLFLOW, NONE, TENSORBOARD
from nas.util.commands import interpreter, typed
from nas.util.errors import setting
from nas.util.files import written

if TYPE_CHECKING:
    from pathlib import Path

    from accelerate import Accelerator

    from nas.export.recipe import Recipe

PROJECT = "smacnas"
_FILE = "log.json"  # which run of the tracker a seed's training is


def begin(accelerator: Accelerator, log: str, output: Path, seed: int, recipe: Recipe) -> str:
    """Opens a log for one seed; later logs of it are appended.

    It stays in the output folder unless the user's environment says otherwise (:mod:`nas.tracking.place`).

    Returns:
        Where it goes and what to type to see it, in a line; "" without a log.

    Raises:
        UserError: If the output folder takes no files.
    """
    if log == NONE:
        return ""
    os.environ.update(place.environment(log, output))
    file, name = output / f"seed-{seed}" / _FILE, f"{output.name}-seed-{seed}"
    run = _known(file, log)
    options: dict[str, Any] = {}
    if log == MLFLOW:
        os.environ["MLFLOW_TRACKING_URI"] = place.mlflow_uri(output)
        place.folder(log, output).mkdir(exist_ok=True)
        options = {MLFLOW: {"run_name": name, "run_id": run}}
    elif log != TENSORBOARD:
        run = run or uuid.uuid4().hex
        home = {"dir": str(output), "mode": place.wandb_mode()}
        options = {log: {"name": name, "resume": "allow", "id": run, **home}}
    # TensorBoard's is a folder name.
    project = f"seed-{seed}" if log == TENSORBOARD else PROJECT
    accelerator.init_trackers(project, config={**asdict(recipe), "seed": seed}, init_kwargs=options)
    if accelerator.is_main_process and log != TENSORBOARD:
        if log == MLFLOW:
            run = accelerator.get_tracker(MLFLOW, unwrap=True).info.run_id
        with written(setting("output", output), "must be a folder"):
            file.parent.mkdir(exist_ok=True)
            write_json(file, {"log": log, "run": run})
    if log == TENSORBOARD:
        command = typed("tensorboard.main", "--logdir", output / "logs", python=interpreter())
        return f"log: TensorBoard, in {output / 'logs'}; look at it with: {command}"
    return place.described(log, output)


def _known(file: Path, log: str) -> str | None:
    """The tracker's run of an earlier call, None if there was none."""
    try:
        found = json.loads(file.read_text())
        return str(found["run"]) if found["log"] == log else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def end(accelerator: Accelerator) -> None:
    """Closes the seed's log; ``Accelerator.end_training`` would end the other processes' group too."""
    for tracker in accelerator.trackers:
        tracker.finish()
    accelerator.trackers = []
