"""The search's side: a separate process serves the tracker, which can then never slow or end a search."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
import uuid
from dataclasses import replace
from typing import IO, TYPE_CHECKING

from nas.run import tracking_file
from nas.run.tracking_file import TrackingFile
from nas.tracking import place
from nas.tracking.settings import NONE, require
from nas.util import locks
from nas.util.commands import interpreter, typed
from nas.util.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from nas.run.events import Event
    from nas.run.folder import Run
    from nas.run.state import SearchState

LOCK = ".tracking.lock"
PATIENCE = 30.0  # seconds that the tracker gets at the end: a batch system ends it with its job
_LOOK = 0.05  # seconds between two looks at it


def remember(run: Run, log: str) -> None:
    """Notes which tracker a run is shown in; under the same id as before, if it was shown in one.

    Raises:
        UserError: If the note cannot be read or written.
    """
    found = run.read_tracking()
    if found is None and log == NONE:
        return
    if found is None:
        found = TrackingFile(format=tracking_file.VERSION, id=uuid.uuid4().hex, log=log, models=[])
    with run.written():
        run.write(replace(found, log=log))


def remembered(run: Run) -> str:
    """Returns the tracker that a run is shown in, ``none`` if there is none.

    Raises:
        UserError: If that cannot be read.
    """
    found = run.read_tracking()
    return NONE if found is None else found.log


@contextlib.contextmanager
def following(run: Run, note: Callable[[str], None]) -> Iterator[Follower | None]:
    """Keeps the run's tracker informed inside the block, if the run has one.

    Args:
        run: The run.
        note: Called with each message, one line.

    Yields:
        A listener; None for a run without a tracker.
    """
    follower = _started(run, note)
    if follower is None:
        yield None
        return
    try:
        yield follower
    finally:
        follower.close()


def _started(run: Run, note: Callable[[str], None]) -> Follower | None:
    log = remembered(run)
    if log == NONE:
        return None
    try:
        require(log)
        return Follower(run, log, note)
    except (UserError, OSError) as error:
        note(f"log: {error}")
        return None


def made(run: Run, model: Path | None = None, note: Callable[[str], None] = lambda _: None) -> None:
    """Adds an export or report to the run's tracker, if it has one.

    Args:
        run: The run.
        model: The folder of an exported network; None for the report.
        note: Called with each message, one line.
    """
    try:
        found = run.read_tracking()
        if found is None or found.log == NONE:
            return
        if model is not None:
            models = dict.fromkeys((*found.models, str(model.resolve())))
            with run.written():
                run.write(replace(found, models=list(models)))
        if locks.holder(run.path / LOCK) is None:  # else whoever holds it shows this too, at its end
            with following(run, note):
                pass
    except UserError as error:
        note(f"log: {error}")


class Follower:
    """A search's listener that only looks after the process that reads the journal for the tracker."""

    def __init__(self, run: Run, log: str, note: Callable[[str], None]) -> None:
        """Starts it.

        Raises:
            OSError: If it cannot be started.
        """
        self._run, self._log, self._note = run, log, note
        self._said = b""
        note(place.described(log, run.path))
        # Its own session: what ends the search is the search's affair, and is told through the pipe.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "nas.tracking.process", str(run.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **place.environment(log, run.path)},
            start_new_session=True,
        )
        os.set_blocking(self._out.fileno(), False)
        self._over = False

    @property
    def _out(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout

    def event(self, event: Event, state: SearchState) -> None:
        """Does nothing: the journal has it."""

    def note(self, text: str) -> None:
        """Does nothing."""

    def tick(self) -> None:
        """Passes on the process's messages."""
        with contextlib.suppress(OSError):
            self._said += self._out.read() or b""
        *lines, self._said = self._said.split(b"\n")
        for line in lines:
            self._note(f"log: {line.decode(errors='replace')}")
        if not self._over and self._process.poll() is not None:
            self._over = True
            if self._process.returncode:
                self._note(f"log: its process ended ({self._process.returncode}); {self._later}")

    @property
    def _later(self) -> str:
        return f"nothing is lost, send it with: {typed('nas.tracking', self._run.path, python=interpreter())}"

    def close(self) -> None:
        """Gives the process some time to finish."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        end = time.monotonic() + PATIENCE
        with contextlib.suppress(KeyboardInterrupt):  # whoever is in a hurry
            while self._process.poll() is None and time.monotonic() < end:
                time.sleep(_LOOK)
        if self._process.poll() is None:
            self._over = True
            self._process.kill()
            self._process.wait()
            self._note(f"log: the tracker has not taken everything within {PATIENCE:.0f} s; {self._later}")
        self.tick()
        self._out.close()
