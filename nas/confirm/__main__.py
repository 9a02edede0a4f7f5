"""Train a run's best configurations again with fresh seeds: ``python -m nas.confirm runs/NAME``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from nas.confirm.settings import ConfirmMachineSettings, ConfirmSettings
from nas.util import cli, flag_help, output

if TYPE_CHECKING:
    from collections.abc import Sequence

PROG = "python -m nas.confirm"

_DESCRIPTION = """Train a run's best configurations again, from scratch, each with several fresh seeds.

The winner of a search was the best of many on the same validation images, with one seed, so part of
its lead is luck. This compares it with the runners-up and the base architecture seed by seed, on the same
images, and writes confirmed.json. If it is killed, the same command continues. Exit codes: 0 done
or out of time, 2 bad input, 130 Ctrl-C, 143 SIGTERM."""

_EXIT_CODES = {"done": 0, "budget": 0, "interrupted": 130, "terminated": 143}


@dataclass(frozen=True)
class Command:
    """The command line."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run folder."""
    settings: Annotated[ConfirmSettings, flag_help.group("Confirmation")] = field(
        default_factory=ConfirmSettings
    )
    machine: Annotated[ConfirmMachineSettings, flag_help.group("Device and data")] = field(
        default_factory=ConfirmMachineSettings
    )
    quiet: flag_help.Switch = False
    """Print nothing but errors."""


@cli.flags(Command)
def main(args: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    command = cli.parse(Command, prog=PROG, description=_DESCRIPTION, args=args)

    output.doing("reading the run")
    from rich.console import Console

    from nas.confirm import session, view

    run, found, reason = session.confirm(
        command.run, command.settings, command.machine, view.choose(quiet=command.quiet)
    )
    if not command.quiet:
        console = Console()
        view.show(found, reason, run.read_search().space.default, console)
        console.print(f"written to {run.confirmed_json}", soft_wrap=True, markup=False, highlight=False)
        if found.winner is not None:
            from nas.view.summary import confirmed_commands

            console.print("next")
            for line in confirmed_commands(run):
                console.print(f"  {line}", soft_wrap=True, markup=False, highlight=False)
    return _EXIT_CODES[reason]


if __name__ == "__main__":
    cli.run(main, PROG)
