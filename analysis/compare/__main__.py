"""Runs of several seeds or optimisers side by side: ``python -m analysis.compare runs/a runs/b ...``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from analysis.compare.comparison import compare, show, write
from analysis.importance import ImportanceSettings
from nas.util import cli, flag_help, output

if TYPE_CHECKING:
    from collections.abc import Sequence


PROG = "python -m analysis.compare"
RENAMED = {"--forest-seed": "--seed"}  # since version 0.1; scripts may hold it


@dataclass(frozen=True)
class ForestSettings:
    """How importances are computed."""

    trees: int = 64
    """Trees per forest."""
    seed: int = 0
    """Seed of the forests."""

    @property
    def settings(self) -> ImportanceSettings:
        """As :mod:`analysis.importance` takes them."""
        return ImportanceSettings(engine="local", trees=self.trees, bootstrap=0, seed=self.seed)


@dataclass(frozen=True)
class Command:
    """Runs of several seeds or optimisers side by side."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, flag_help.several("RUN")]
    """Run folders, at least two; runs that differ only in the seed are averaged."""
    output: Annotated[Path | None, flag_help.default("comparison, next to the first run", aliases=["-o"])] = (
        None
    )
    """Folder for tables and figures."""
    forests: Annotated[ForestSettings, flag_help.group("Importance")] = field(default_factory=ForestSettings)


@cli.flags(Command, output="-o")
def main(args: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    command = cli.parse(Command, prog=PROG, description=__doc__ or "", args=args, renamed=RENAMED)

    output.doing("reading the runs")
    from rich.console import Console

    from analysis.frames import load

    runs = [load(path) for path in command.runs]
    output.doing("comparing the runs")
    found = compare(runs, command.forests.settings)
    folder = command.output or command.runs[0].resolve().parent / "comparison"
    output.doing("drawing the figures")
    write(found, folder)
    console = Console()
    show(found, console)
    console.print(f"tables and figures in {folder}", soft_wrap=True, markup=False)
    return 0


if __name__ == "__main__":
    cli.run(main, PROG, answer=True)
