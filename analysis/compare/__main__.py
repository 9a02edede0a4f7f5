"""Runs of several seeds or optimisers side by side: ``python -m analysis.compare runs/a runs/b ...``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from analysis.compare.comparison import compare, show, write
from analysis.importance import Settings
from nas.util import cli, output

if TYPE_CHECKING:
    from collections.abc import Sequence


PROG = "python -m analysis.compare"


@dataclass(frozen=True)
class Forests:
    """How importances are computed."""

    trees: int = 64
    """Trees of each forest."""
    forest_seed: int = 0
    """Of the forests."""

    @property
    def settings(self) -> Settings:
        """As :mod:`analysis.importance` takes them."""
        return Settings(engine="local", trees=self.trees, bootstrap=0, seed=self.forest_seed)


@dataclass(frozen=True)
class Command:
    """Runs of several seeds or optimisers side by side."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Run folders, two at least; runs that differ in the seed only are averaged."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """Folder for tables and figures (comparison, beside the first run)."""
    forests: Forests = field(default_factory=Forests)


@cli.flags(Command, output="-o")
def main(args: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    command = cli.parse(Command, prog=PROG, description=__doc__ or "", args=args)

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
