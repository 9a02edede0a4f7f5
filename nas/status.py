"""How a search stands, running, stopped or dead: ``python -m nas.status runs/<name>``."""

from __future__ import annotations

import contextlib
import gc
import io
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from nas import cli
from nas.commands import RunCommands
from nas.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from nas.engine.journal import Event
    from nas.engine.state import SearchState
    from nas.view.snapshot import Snapshot

PROG = "python -m nas.status"
_EVERY = 1.0  # seconds between two looks
_PIECE = 1 << 24  # bytes of the journal at a time


@dataclass(frozen=True)
class Command:
    """How a search stands."""

    run: Annotated[Path, tyro.conf.Positional]
    """The run folder."""
    json: bool = False
    """Print it for machines."""
    svg: Path | None = None
    """Draw it into a picture instead, for a page or a talk."""
    watch: bool = False
    """Go on until Ctrl-C or the search's end: draw it again every second; lines of what happens where nothing
    can be drawn again, as in a pipe; with --json, an object a line whenever something happened."""


class Watcher:
    """Reads a run's journal as it grows."""

    def __init__(self, path: Path, listen: Callable[[Event, SearchState], None] | None = None) -> None:
        """Opens the run.

        Args:
            path: Its folder.
            listen: Is told of each event, and of what they amount to.

        Raises:
            UserError: If the folder is no run.
        """
        from nas.engine.run import Run
        from nas.engine.state import SearchState

        self._run = Run.open(path)
        self._search = self._run.read_search()
        self._state = SearchState()
        self._listen = listen
        self._offset = 0
        self._lines = 0

    def look(self) -> Snapshot:
        """Takes in what was journaled since the last look.

        Raises:
            UserError: If the journal is damaged.
        """
        from nas.engine import standing
        from nas.view import snapshot

        self._catch_up()
        now = standing.of(self._run, self._state)
        self._catch_up()  # what it wrote before it ended, if that was in between
        used = self._state.clock
        if now.status == standing.RUNNING and self._lines:
            used += now.silent_seconds
        return snapshot.take(
            self._state, self._search, name=self._run.name, status=now.status, used=used, seen=now
        )

    def _catch_up(self) -> None:
        from nas.engine import journal

        gc.disable()  # nothing of it is garbage, and looking for some takes a third of the time
        try:
            # In pieces: the events of a long journal take far more memory than what they amount to.
            while (contents := journal.read(self._run.journal, self._offset, self._lines + 1, _PIECE)).events:
                for event in contents.events:
                    self._state.apply(event)
                    if self._listen is not None:
                        self._listen(event, self._state)
                    if event["event"] == "session":  # a resumed session may have another budget
                        self._search = self._run.read_search()
                self._offset, self._lines = contents.size, self._lines + len(contents.events)
        finally:
            gc.enable()

    @property
    def lines(self) -> int:
        """Lines of the journal read so far."""
        return self._lines

    @property
    def search(self) -> dict[str, Any]:
        """``search.json``."""
        return self._search

    def confirmed(self) -> dict[str, Any] | None:
        """What ``nas.confirm`` measured, None before."""
        from nas.confirmation import record

        return record.read(self._run)


def _confirmation(found: dict[str, Any] | None, path: Path, search: Mapping[str, Any]) -> str:
    """What several seeds said of the winner, or how to ask them."""
    from nas.confirmation.view import verdict

    if found is None or not found["compared"]:
        return f"next   several seeds for the best: {RunCommands.of(path, search).confirm}"
    return verdict(found)


def main(args: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    command = cli.parse(Command, prog=PROG, description=__doc__ or "", args=args)
    if command.svg is not None and (command.watch or command.json):
        raise UserError("--svg draws one picture: leave out --watch and --json")
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
            raise UserError(f"--svg {command.svg}: cannot be written ({error.strerror})") from error
        return 0
    snapshot = watcher.look()
    Console().print(panel.draw(snapshot))
    if snapshot.status != "running" and snapshot.incumbent is not None:
        print(_confirmation(watcher.confirmed(), command.run, watcher.search))
    return 0


def _watch(command: Command) -> None:
    from nas.view.sign import can_redraw

    if command.json:
        _watch_json(Watcher(command.run))
    elif can_redraw(sys.stdout):
        _watch_panel(Watcher(command.run))
    else:
        from nas.view.following import Following

        following = Following(sys.stdout)
        watcher = Watcher(command.run, following.event)
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
    import orjson

    values = {**snapshot.to_json(), "confirmed": watcher.confirmed()}
    return orjson.dumps(values, option=orjson.OPT_INDENT_2 if indent else None).decode()


if __name__ == "__main__":
    cli.run(main, PROG, answer=True)
