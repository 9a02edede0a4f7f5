"""What ``tracking.json`` holds: in which tracker a run is shown, and under which id."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from nas.util import records

VERSION = 1
LOGS = ("none", "tensorboard", "wandb", "mlflow")
_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingFile(records.Document):
    """Where a run is shown.

    Attributes:
        format: Version of the file.
        id: Drawn at random when the run was first shown, so that no other run has it, whatever its name.
        log: The tracker's name, ``none`` while it is turned off.
        models: Folders that the run's networks were exported to.
    """

    file_name: ClassVar[str] = "tracking.json"

    format: int
    id: str
    log: str
    models: list[str]

    def __post_init__(self) -> None:
        """Refuses what no program wrote: the id becomes part of file names.

        Raises:
            ValueError: Naming the key.
        """
        if not _ID.fullmatch(self.id):
            raise ValueError("id: must be 32 hexadecimal digits")
        if self.log not in LOGS:
            raise ValueError(f"log: must be one of {', '.join(LOGS)}")
