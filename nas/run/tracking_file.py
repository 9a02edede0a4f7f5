"""What ``tracking.json`` holds: in which tracker a run is shown, and under which id."""

from __future__ import annotations

from dataclasses import dataclass

from nas.util import records

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackingFile(records.Document):
    """Where a run is shown.

    Attributes:
        format: Version of the file.
        id: Drawn at random when the run was first shown, so that no other run has it, whatever its name.
        log: The tracker's name, ``none`` while it is turned off.
        models: Folders that the run's networks were exported to.
    """

    format: int
    id: str
    log: str
    models: list[str]
