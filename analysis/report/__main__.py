"""One page about a run, for any browser, also offline: ``python -m analysis.report runs/<name>``."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from analysis.importance import ImportanceSettings
from analysis.report.page import report
from nas.util import cli, flag_help, output

if TYPE_CHECKING:
    from collections.abc import Sequence


PROG = "python -m analysis.report"


@dataclass(frozen=True)
class Command:
    """One page about a run, for any browser, without a network."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run folder; the search may still be running."""
    settings: Annotated[ImportanceSettings, flag_help.group("Importance")] = field(
        default_factory=ImportanceSettings
    )


@cli.flags(Command)
def main(args: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    command = cli.parse(Command, prog=PROG, description=__doc__ or "", args=args)

    output.doing("reading the run")
    from analysis.frames import load
    from nas.run.folder import Run
    from nas.tracking.follower import made

    print(report(load(command.run), command.settings), flush=True)
    made(Run.open(command.run), note=partial(print, file=sys.stderr))
    return 0


if __name__ == "__main__":
    cli.run(main, PROG)
