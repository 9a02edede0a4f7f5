"""TensorBoard, Weights & Biases and MLflow, through accelerate."""

from __future__ import annotations

from dataclasses import asdict
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from nas.util.commands import extra
from nas.util.errors import SettingError

if TYPE_CHECKING:
    from pathlib import Path

    from accelerate import Accelerator

    from nas.export.recipe import Recipe

PROJECT = "smacnas"


def require(log: str) -> None:
    """Makes sure that what was asked for is installed.

    Raises:
        UserError: If it is not.
    """
    if log != "none" and find_spec(log) is None:
        raise SettingError("log", log, f"is not installed; install with: {extra('log')}")


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
