"""How far a search has come, whether running, stopped or dead: ``python -m nas.status runs/<name>``.

Given a folder of runs, such as ``runs``, it lists them all."""

from __future__ import annotations

import contextlib
import io
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from nas.run.commands import RunCommands
from nas.status.watcher import Watcher
from nas.util import cli, flag_help, records
from nas.util.errors import SettingError, UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nas.run.confirmed_file import ConfirmedFile
    from nas.run.search_file import SearchFile
    from nas.view.snapshot import Snapshot

PROG = "python -m nas.status"
_EVERY = 1.0  # seconds between two updates


@dataclass(frozen=True)
class Command:
    """How far a search has come."""

    run: Annotated[Path, tyro.conf.Positional] = Path("runs")
    """A run folder, or a folder of runs to list: those still running first, then the latest."""
    json: flag_help.Switch = False
    """Print the status as JSON."""
    svg: Annotated[Path | None, flag_help.default("print it")] = None
    """Write it as an SVG picture instead, for a page or a talk."""
    watch: flag_help.Switch = False
    """Keep watching until Ctrl-C or the end of the search, updated every second; in a pipe, print a line for
    each event; with --json, one object per line for each change."""


def _confirmation(found: ConfirmedFile | None, path: Path, search: SearchFile) -> str:
    """Describes the winner's confirmation, or says how to confirm it."""
    from nas.confirm.view import verdict

    if found is None or not found.compared:
        return f"next   several seeds for the best: {RunCommands.of(path, search).confirm}"
    return verdict(found)


@cli.flags(Command)
def main(args: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    from nas.status import listing

    command = cli.parse(Command, prog=PROG, description=__doc__ or "", args=args)
    if command.svg is not None and (command.watch or command.json):
        raise UserError("--svg draws one picture: leave out --watch and --json")
    if listing.holds_runs(command.run):
        return _list(command)
    if command.watch:
        with contextlib.suppress(KeyboardInterrupt):
            _watch(command)
        return 0
    watcher = Watcher(command.run)
    if command.json:
        print(_as_json(watcher, watcher.look(), indent=True))
        return 0
    from rich.console import Console

    from nas.view import panel

    if command.svg is not None:
        picture = Console(record=True, width=110, file=io.StringIO())
        picture.print(panel.draw(watcher.look()))
        try:
            picture.save_svg(str(command.svg), title=f"python -m nas.status {command.run}")
        except OSError as error:
            raise SettingError("svg", command.svg, f"cannot be written ({error.strerror})") from error
        return 0
    snapshot = watcher.look()
    Console().print(panel.draw(snapshot))
    if snapshot.status != "running" and snapshot.incumbent is not None:
        print(_confirmation(watcher.confirmed(), command.run, watcher.search))
    return 0


def _list(command: Command) -> int:
    for flag, said in (("watch", command.watch), ("svg", command.svg is not None)):
        if said:
            raise SettingError(flag, None, f"shows one run; {command.run} holds several, name one of them")
    from nas.status import listing

    found = listing.read(command.run)
    if command.json:
        print(_dumped(found.to_json(), indent=True))
    else:
        from nas.status import table

        table.show(found, command.run)
    return 0


def _watch(command: Command) -> None:
    from nas.util.spinner import can_redraw

    if command.json:
        _watch_json(Watcher(command.run))
    elif can_redraw(sys.stdout):
        _watch_panel(Watcher(command.run))
    else:
        from nas.run.objectives import Objectives
        from nas.view.following import Following

        following = Following(sys.stdout)
        watcher = Watcher(command.run, following.event)
        following.objectives = Objectives.of(watcher.search)
        while following.goes_on(watcher.look()):
            time.sleep(_EVERY)


def _watch_json(watcher: Watcher) -> None:
    seen = -1
    while True:
        snapshot = watcher.look()
        running = snapshot.status == "running"
        if watcher.lines != seen or not running:
            seen = watcher.lines
            print(_as_json(watcher, snapshot, indent=False), flush=True)
        if not running:
            return
        time.sleep(_EVERY)


def _watch_panel(watcher: Watcher) -> None:
    from nas.view import panel
    from nas.view.redrawn import Redrawn

    snapshot = watcher.look()
    with Redrawn(lambda: panel.draw(snapshot)) as live:
        while snapshot.status == "running":
            live.refresh()
            time.sleep(_EVERY)
            snapshot = watcher.look()


def _as_json(watcher: Watcher, snapshot: Snapshot, *, indent: bool) -> str:
    confirmed = watcher.confirmed()
    values = {**snapshot.to_json(), "confirmed": None if confirmed is None else records.write(confirmed)}
    return _dumped(values, indent=indent)


def _dumped(values: dict[str, Any], *, indent: bool) -> str:
    import orjson

    return orjson.dumps(values, option=orjson.OPT_INDENT_2 if indent else None).decode()


if __name__ == "__main__":
    cli.run(main, PROG, answer=True)
