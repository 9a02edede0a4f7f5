"""Programs that users would write, run in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]


def python(
    *command: str, folder: Path, typed: str | None, environment: Mapping[str, str], timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Runs Python in a folder, with this environment and nothing else."""
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(ROOT)},
        input=typed,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
