"""A run's history for other tools: ``python -m analysis.history runs/<name> --format csv``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from analysis.history.formats import SMAC_STATUS, write_smac, write_table
from nas.util import cli, flag_help, output
from nas.util.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence


PROG = "python -m analysis.history"


@dataclass(frozen=True)
class Command:
    """A run's history for other tools."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run folder."""
    format: Literal["csv", "parquet", "smac"]
    """csv, parquet: a table with one row per trial; smac: a folder as unmodified SMAC writes it, which
    unmodified DeepCAVE opens."""
    output: Annotated[Path | None, flag_help.default("in the run's analysis/", aliases=["-o"])] = None
    """File or folder to write."""


@cli.flags(Command, out="-o")
def main(args: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    command = cli.parse(
        Command, prog=PROG, description=__doc__ or "", args=args, renamed={"--out": "--output"}
    )
    output.doing("reading the run")
    from analysis.frames import load

    run = load(command.run)
    if not run.trials["status"].isin(SMAC_STATUS).any():
        raise UserError(f"{command.run}: no trial has finished yet, so there is nothing to export")
    if command.format == "smac":
        out = command.output or run.analysis / "smac" / run.name
        write_smac(run, out)
    else:
        out = command.output or run.analysis / f"history.{command.format}"
        write_table(run, out, command.format)
    print(out)
    return 0


if __name__ == "__main__":
    cli.run(main, PROG, answer=True)
