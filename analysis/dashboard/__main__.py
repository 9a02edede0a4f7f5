"""Pages about runs, finished or still running: ``python -m analysis.dashboard runs/<name>``."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from nas.util import cli, flag_help, output, signals
from nas.util.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analysis.dashboard.services import Services
    from analysis.deepcave.exporter import Exporter

PROG = "python -m analysis.dashboard"

_REFRESH = 10.0  # seconds between checks of the journals
_START = 120.0  # seconds the page may take to answer


@dataclass(frozen=True)
class Command:
    """A page for one or more runs, also while they go on."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, flag_help.several("RUN")] = ()
    """Run folders."""
    ui: Literal["deepcave", "optuna"] = "deepcave"
    """deepcave: analyses, computed when asked for; optuna: trials, curves and the front as they come."""
    port: int = 8050
    """Port of the page, which only this machine can reach; 0: any free port."""
    open: flag_help.Switch = False
    """Open the page in a browser."""


@cli.flags(Command)
def main(args: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    command = cli.parse(Command, prog=PROG, description=__doc__ or "", args=args)
    if not command.runs:
        raise UserError("runs: name at least one run folder, for example runs/<name>")

    return _optuna(command) if command.ui == "optuna" else _deepcave(command)


def _optuna(command: Command) -> int:
    from analysis.studies import page

    page.require()
    from analysis.dashboard import optuna_page

    return optuna_page.show(command.runs, command.port, PROG, browse=command.open)


def _deepcave(command: Command) -> int:
    from analysis.dashboard import ports, services
    from analysis.deepcave import environment

    output.doing("reading the runs")
    exporters = _export(command.runs)
    output.doing("starting DeepCAVE")
    redis = services.find_redis()
    port = ports.claim_port(command.port)
    python = environment.ensure()
    names = ", ".join(run.resolve().name for run in command.runs)
    stop = threading.Event()  # so that no signal cuts a start or an end short
    with (
        signals.handled(lambda _: stop.set()),
        services.started(python, redis, port, command.runs) as running,
    ):
        code = _wait_until_ready(running, stop)
        if code is not None:
            return code
        output.doing("")
        print(f"DeepCAVE shows {names} at {running.address}", flush=True)
        print(f"Ctrl-C ends it; until then its logs are in {running.folder}", flush=True)
        if command.open:
            import webbrowser

            webbrowser.open(running.address)
        return _watch(running, exporters, stop)


def _export(runs: Sequence[Path]) -> list[Exporter]:
    from analysis.deepcave.exporter import Exporter
    from nas.run.folder import Run

    exporters = []
    for path in runs:
        exporter = Exporter(Run.open(path))
        exporter.refresh()
        if not exporter.successes:
            raise UserError(f"{path}: no trial has finished with success yet, so there is nothing to show")
        exporters.append(exporter)
    return exporters


def _wait_until_ready(running: Services, stop: threading.Event) -> int | None:
    """Waits for the page and its workers; an exit code if it comes to nothing."""
    deadline = time.monotonic() + _START
    while not running.ready():
        dead = running.dead()
        if dead:
            print(dead[0].exit_message(), file=sys.stderr)
            return 1
        if time.monotonic() > deadline:
            print(f"the page does not answer after {_START:.0f} seconds", file=sys.stderr)
            return 1
        if stop.wait(0.3):
            return 0
    return None


def _watch(running: Services, exporters: Sequence[Exporter], stop: threading.Event) -> int:
    looked = time.monotonic()
    while not stop.wait(0.5):
        for child in running.dead():
            if running.closed_from_page(child):
                return 0
            print(child.exit_message(), file=sys.stderr, flush=True)
            if not running.replace(child):
                return 1
            print(f"{child.name} was started again", file=sys.stderr, flush=True)
        if time.monotonic() - looked > _REFRESH:
            looked = time.monotonic()
            _refresh(exporters)
    return 0


def _refresh(exporters: Sequence[Exporter]) -> None:
    for exporter in list(exporters):
        try:
            exporter.refresh()
        except UserError as error:  # the page goes on with what it has
            print(f"{PROG}: {error}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    cli.run(main, PROG)
