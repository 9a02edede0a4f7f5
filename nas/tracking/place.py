"""Where a tracker stores its data: in the run folder, unless the user's environment says otherwise."""

from __future__ import annotations

import os
import re
import shutil
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from nas.tracking.settings import MLFLOW, TENSORBOARD
from nas.util.commands import interpreter, typed

_URI, _WANDB_MODE, _WANDB_KEY = "MLFLOW_TRACKING_URI", "WANDB_MODE", "WANDB_API_KEY"
OFFLINE = "offline"
# Neither reports what is done with it to its makers, unless the user wants that.
_SILENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "WANDB_ERROR_REPORTING": "false",
}
# A server that is gone is tried again here, later; waiting for it long would only hold up the end.
_IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}


def folder(log: str, run: Path) -> Path:
    """Returns the tracker's folder within a run."""
    return run / log


def mlflow_uri(run: Path) -> str:
    """Returns MLflow's store: the user's, or a database in the run folder."""
    return os.environ.get(_URI) or f"sqlite:///{(folder(MLFLOW, run) / 'mlflow.db').resolve()}"


def wandb_mode() -> str:
    """Returns Weights & Biases' mode: what the user set, else online if there is an API key, else offline."""
    return os.environ.get(_WANDB_MODE) or ("online" if os.environ.get(_WANDB_KEY) else OFFLINE)


def environment(log: str, run: Path) -> dict[str, str]:
    """Returns environment variables that the tracker's process needs and the user has not set."""
    home = folder(log, run).resolve()
    wanted = {**_SILENT, **_IMPATIENT}
    if log not in (TENSORBOARD, MLFLOW):
        parts = {"WANDB_CACHE_DIR": "cache", "WANDB_DATA_DIR": "data", "WANDB_CONFIG_DIR": "config"}
        if wandb_mode() == OFFLINE:
            wanted |= {name: str(home / part) for name, part in parts.items()}
    return {name: value for name, value in wanted.items() if name not in os.environ}


def described(log: str, run: Path) -> str:
    """Returns one line on where a run is shown and what to type to see it."""
    if log == TENSORBOARD:
        home = folder(log, run)
        command = typed("tensorboard.main", "--logdir", home, python=interpreter())
        return f"log: TensorBoard, in {home}; look at it with: {command}"
    if log == MLFLOW:
        return _mlflow(run)
    mode = wandb_mode()
    if mode != OFFLINE:
        return f"log: Weights & Biases, {mode}"
    home = folder(log, run)
    return f"log: Weights & Biases, offline in {home}; look at it with: " + typed(
        "wandb", "leet", home, python=interpreter()
    )


def _mlflow(run: Path) -> str:
    if uri := os.environ.get(_URI):
        return f"log: MLflow, at {re.sub(r'//[^/@]*@', '//', uri)}"
    home, store = folder(MLFLOW, run), mlflow_uri(run)
    command = typed("mlflow", "server", "--backend-store-uri", store, python=interpreter())
    if find_spec("flask") is None and shutil.which("uvx"):  # what is installed writes, but has no pages
        command = f"uvx mlflow@{version('mlflow-skinny')} {command.partition(' -m mlflow ')[2]}"
    return f"log: MLflow, in {home}; look at it with: {command}"
