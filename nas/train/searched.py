"""A run's best network, made into a folder that ``nas.train`` can train."""

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


def exported(model: str, options: TrainCommandSettings) -> tuple[str, TrainCommandSettings]:
    """Exports a run's best network at the size that was searched into the output folder, once.

    A training that goes on takes the folder as it is, whatever the search has found since.

    Args:
        model: The run folder.
        options: What the command line says.

    Returns:
        The exported folder, and the options with the run's images for ``own``.

    Raises:
        UserError: If there is no such network, or no trained weights of it where they are asked for.
    """
    run = Run.open(Path(model).expanduser())
    target = place(run, options.output)
    if options.data == OWN:
        options = replace(options, data=f"{images.KIND}:{run.path}")
    if not (target / folder.CONFIG).is_file():
        if os.environ.get("RANK", "0") != "0":
            _wait_for(target)
        else:
            found = source.find(str(run.path), space=options.space)
            if options.init == "weights" and found.weights is None:
                raise SettingError("init", "weights", found.untrained)
            export(
                ExportSettings(str(run.path), target, sizes.REDUCED, options.space, license=options.license)
            )
    return str(target), options


def _wait_for(target: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not (target / folder.CONFIG).is_file():
        if time.monotonic() > deadline:
            raise UserError(f"{target}: not there after {_PATIENCE:.0f} s; the first process must write it")
        time.sleep(0.2)
