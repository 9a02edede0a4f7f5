"""Search for a better network: ``python -m nas.search --budget 72h``."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from nas import cli
from nas.settings import SearchSettings

if TYPE_CHECKING:
    from collections.abc import Sequence

PROG = "python -m nas.search"

_DESCRIPTION = """Search for a better network than the base architecture, on one device, against the clock.

Every run is a folder runs/<name>: a kill at any moment loses no finished trial, and
--resume runs/<name> goes on from there. Exit codes: 0 a limit was reached, 1 the same crash five
times in a row, 2 bad input, 130 Ctrl-C, 143 SIGTERM."""

_EXIT_CODES = {"budget": 0, "trials": 0, "exhausted": 0, "crashes": 1, "interrupted": 130, "terminated": 143}


@dataclass(frozen=True)
class RunFlags:
    """The run folder, and what is shown."""

    name: str | None = None
    """Name of the run (data set and time)."""
    runs_dir: Path = Path("runs")
    """Where run folders lie."""
    resume: Path | None = None
    """Go on with this run folder; its settings are kept, a longer --budget may be given."""
    plan: bool = False
    """Measure this device, print what the budget buys, and do not search."""
    quiet: bool = False
    """Print nothing but errors; the log file is written all the same."""


@dataclass(frozen=True)
class Command:
    """Everything the command line says."""

    run: RunFlags = field(default_factory=RunFlags)
    settings: SearchSettings = field(default_factory=SearchSettings)


def main(args: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    args = sys.argv[1:] if args is None else args
    folder = _resumed_folder(args)
    default = Command() if folder is None else Command(settings=_stored_settings(folder))
    command = cli.parse(Command, prog=PROG, description=_DESCRIPTION, default=default, args=args)
    settings = command.settings

    if command.run.plan:
        from nas.engine import plan
        from nas.view import planned

        planned.show(plan.make(settings))
        return 0

    from nas.engine import session
    from nas.view import choose, summary

    view = choose(quiet=command.run.quiet)
    if command.run.resume is not None:
        run, reason = session.resume(command.run.resume, settings, view)
    else:
        path = command.run.runs_dir / (command.run.name or session.default_name(settings))
        run, reason = session.begin(path, settings, view)
    if not command.run.quiet:
        summary.show(run, reason)
    return _EXIT_CODES[reason]


def _resumed_folder(args: Sequence[str]) -> Path | None:
    """Looks for ``--resume`` ahead of parsing, since the stored settings are the defaults then."""
    for index, arg in enumerate(args):
        if arg == "--resume" and index + 1 < len(args):
            return Path(args[index + 1])
        if arg.startswith("--resume="):
            return Path(arg.removeprefix("--resume="))
    return None


def _stored_settings(folder: Path) -> SearchSettings:
    from nas.engine.run import Run

    return SearchSettings.from_json(Run.open(folder).read_search()["settings"])


if __name__ == "__main__":
    cli.run(main, PROG)
