"""The writing of what DeepCAVE reads, as the dashboard does it, as a command."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from analysis.deepcave.exporter import Exporter
from nas.run.folder import Run

PROG = "export"


def main(args: Sequence[str]) -> int:
    """Exports the run given."""
    return 0 if Exporter(Run.open(Path(args[0]))).refresh() else 1
