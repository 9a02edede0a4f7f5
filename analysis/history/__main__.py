"""A run's history for other tools: ``python -m analysis.history runs/<name> --format csv``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from analysis.history.formats import SMAC_STATUS, write_smac, write_table
from nas.util import cli, flag_help, output
from nas.util.commands import extra
from nas.util.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence


PROG = "python -m analysis.history"


@dataclass(frozen=True)
class Command:
    """A run's history for other tools."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run folder."""
    format: Literal["csv", "parquet", "smac", "optuna"]
    """csv, parquet: a table with one row per trial; smac: a folder as unmodified SMAC writes it, which
    unmodified DeepCAVE opens; optuna: a study in a storage of Optuna."""
    output: Annotated[
        str | None, flag_help.default("in the run's analysis/", aliases=["-o"], metavar="PATH")
    ] = None
    """File or folder to write; for optuna also an existing storage, or its URL, to add the study to."""


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
    match command.format:
        case "smac":
            out = _path(command, run.analysis / "smac" / run.name)
            write_smac(run, out)
        case "optuna":
            return _optuna(command, run.analysis / "optuna.db")
        case form:
            out = _path(command, run.analysis / f"history.{form}")
            write_table(run, out, form)
    print(out)
    return 0


def _path(command: Command, default: Path) -> Path:
    return default if command.output is None else Path(command.output)


def _optuna(command: Command, default: Path) -> int:
    try:
        from analysis.studies import storages, writing
    except ModuleNotFoundError as error:
        raise UserError(f"{error.name}: is not installed; install with: {extra('dashboard')}") from None
    from nas.run.folder import Run

    out = command.output or str(default)
    writing.write(Run.open(command.run), out)
    print(storages.shown(out))
    return 0


if __name__ == "__main__":
    cli.run(main, PROG, answer=True)
