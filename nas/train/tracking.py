"""TensorBoard, Weights & Biases and MLflow, through accelerate."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from accelerate import Accelerator

    from nas.export.recipe import Recipe

PROJECT = "smacnas"


def begin(accelerator: Accelerator, log: str, output: Path, seed: int, recipe: Recipe) -> None:
    """Opens a log for one seed; later logs of it are appended."""
    if log == "none":
        return
    name = f"{output.name}-seed-{seed}"
    options: dict[str, Any] = {
        "tensorboard": {},
        "wandb": {"wandb": {"name": name, "resume": "allow", "id": name}},
        "mlflow": {"mlflow": {"run_name": name}},
    }
    # TensorBoard's is a folder name.
    project = f"seed-{seed}" if log == "tensorboard" else PROJECT
    accelerator.init_trackers(project, config={**asdict(recipe), "seed": seed}, init_kwargs=options[log])


def end(accelerator: Accelerator) -> None:
    """Closes the seed's log; ``Accelerator.end_training`` would end the other processes' group too."""
    for tracker in accelerator.trackers:
        tracker.finish()
    accelerator.trackers = []
