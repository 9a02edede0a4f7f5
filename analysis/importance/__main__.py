"""Which choices matter, rung by rung: ``python -m analysis.importance runs/<name>``."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from analysis.importance.by_budget import ImportanceSettings, importances
from nas.util import cli, flag_help, output

if TYPE_CHECKING:
    from collections.abc import Sequence


PROG = "python -m analysis.importance"


@dataclass(frozen=True)
class Command:
    """Which choices matter, rung by rung."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run folder."""
    settings: Annotated[ImportanceSettings, flag_help.group("Importance")] = field(
        default_factory=ImportanceSettings
    )
    json: flag_help.Switch = False
    """Print the importances as JSON."""


@cli.flags(Command)
def main(args: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    command = cli.parse(Command, prog=PROG, description=__doc__ or "", args=args)

    output.doing("reading the run")
    from analysis import outputs
    from analysis.frames import load
    from analysis.importance import figures as figures_importance
    from analysis.importance import marginals, tables

    run = load(command.run)
    with outputs.writable(run.analysis) as folder:
        output.doing("finding out which choices matter")
        found = importances(run, command.settings)
        choices = marginals.marginals(run, trees=command.settings.trees, seed=command.settings.seed)
        outputs.write_csv(found.table, folder / "importance.csv")
        outputs.write_csv(choices, folder / "marginals.csv")
        output.doing("drawing the figures")
        for name, figure in figures_importance.all_figures(run, found, choices).items():
            outputs.write_figure(figure, folder, name)
    if command.json:
        sys.stdout.write(tables.to_json(run, found, choices) + "\n")
    else:
        tables.show(run, found, folder)
    return 0


if __name__ == "__main__":
    cli.run(main, PROG, answer=True)
