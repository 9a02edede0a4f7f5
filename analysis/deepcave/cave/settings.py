"""What the dashboard tells its children, in a file that only their user can read."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "SMACNAS_DASHBOARD"


@dataclass(frozen=True)
class Settings:
    """One start of the dashboard.

    Attributes:
        folder: Its temporary folder.
        port: Where the page is served.
        redis_port: Where redis listens.
        redis_password: What redis asks for: its jobs are pickles, so whoever may add one may run code.
        runs: Run folders to show.
    """

    folder: Path
    port: int
    redis_port: int
    redis_password: str
    runs: list[str]

    @classmethod
    def read(cls) -> Settings:
        """Reads the file that the environment variable names."""
        file = Path(os.environ[VARIABLE])
        return cls(folder=file.parent, **json.loads(file.read_text()))
