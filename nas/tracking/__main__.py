"""Show a run in a tracker, or what was made of it since: ``python -m nas.tracking runs/NAME``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from nas.tracking.settings import NONE, Log, require
from nas.util import cli, flag_help, output
from nas.util.errors import SettingError, UserError, first_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nas.tracking.process import TrackerUpdater

PROG = "python -m nas.tracking"

_DESCRIPTION = """Show a run in TensorBoard, Weights & Biases or MLflow: the search, every trial with its
learning curve and what became of it, further seeds and confirmations, the report, exported models.

What the tracker has already is not sent again. `python -m nas.search --log` does the same while it searches;
from the first time on, resuming, confirming, reporting and exporting keep the tracker up to date."""


@dataclass(frozen=True)
class Command:
    """The command line."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run folder."""
    log: Annotated[Log | None, flag_help.default("the one the run is shown in")] = None
    """Where to show it; none: stop showing it."""


@cli.flags(Command)
def main(args: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    command = cli.parse(Command, prog=PROG, description=_DESCRIPTION, args=args)

    output.doing("reading the run")
    from nas.run.folder import Run
    from nas.tracking import place
    from nas.tracking.follower import LOCK, remember, remembered
    from nas.tracking.process import TrackerUpdater
    from nas.util import locks

    run = Run.open(command.run)
    log = command.log or remembered(run)
    if log == NONE and command.log is None:
        raise SettingError("log", None, f"must be tensorboard, wandb or mlflow: {run.path} has none yet")
    require(log)
    try:
        with run.written(), locks.held(run.path / LOCK, "tracking"):
            remember(run, log)
            if log == NONE:
                return 0
            print(place.described(log, run.path), flush=True)
            os.environ.update(place.environment(log, run.path))
            output.doing("telling the tracker")
            _tell(TrackerUpdater(run, print))
    except locks.LockHeld as busy:
        raise UserError(f"{run.path}: shown by {busy.holder or 'another process'} at the moment") from None
    return 0


def _tell(teller: TrackerUpdater) -> None:
    try:
        teller.update_once()
    except UserError:
        raise
    except Exception as error:  # a tracker may raise anything
        raise SettingError("log", None, f"the tracker does not take it: {first_line(error)}") from error


if __name__ == "__main__":
    cli.run(main, PROG)
