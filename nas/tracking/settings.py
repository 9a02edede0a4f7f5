"""Which trackers there are, and whether they are installed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Final, Literal

from nas.util.commands import extra
from nas.util.errors import SettingError

NONE: Final = "none"
TENSORBOARD, MLFLOW = "tensorboard", "mlflow"
Log = Literal["none", "tensorboard", "wandb", "mlflow"]


def require(log: str) -> None:
    """Makes sure that what was asked for is installed.

    Raises:
        UserError: If it is not.
    """
    if log == NONE:
        return
    found = find_spec(log)
    # A folder of that name, as wandb and mlflow leave in the working directory, has no origin.
    if found is None or found.origin is None:
        raise SettingError("log", log, f"is not installed; install with: {extra('log')}")
