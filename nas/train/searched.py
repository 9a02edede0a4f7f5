"""Exports a run's best network to a folder that ``nas.train`` can train."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nas.export import folder, images, sizes, source
from nas.export.build import export
from nas.export.settings import ExportSettings
from nas.run.folder import Run
from nas.train.fit import place
from nas.train.settings import OWN
from nas.util.errors import SettingError, UserError

if TYPE_CHECKING:
    from nas.train.settings import TrainCommandSettings

_PATIENCE = 600.0  # seconds that torchrun's other processes wait for the first one's export


def exported(model: str, settings: TrainCommandSettings) -> tuple[str, TrainCommandSettings]:
    """Exports a run's best network at the size of the search to the output folder, once.

    A training that continues uses the existing folder, whatever the search has found since.

    Args:
        model: The run folder.
        settings: The command line's settings.

    Returns:
        The exported folder, and the settings with the run's images for ``own``.

    Raises:
        UserError: If there is no such network, or requested trained weights of it are missing.
    """
    run = Run.open(Path(model).expanduser())
    target = place(run, settings.output)
    if settings.data == OWN:
        settings = replace(settings, data=f"{images.KIND}:{run.path}")
    if not (target / folder.CONFIG).is_file():
        if os.environ.get("RANK", "0") != "0":
            _wait_for(target)
        else:
            found = source.find(str(run.path), space=settings.space)
            if settings.init == "weights" and found.weights is None:
                raise SettingError("init", "weights", found.untrained)
            export(
                ExportSettings(str(run.path), target, sizes.REDUCED, settings.space, license=settings.license)
            )
    return str(target), settings


def _wait_for(target: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not (target / folder.CONFIG).is_file():
        if time.monotonic() > deadline:
            raise UserError(f"{target}: not there after {_PATIENCE:.0f} s; the first process must write it")
        time.sleep(0.2)
