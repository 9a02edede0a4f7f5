"""The tracker's process: ``python -m nas.tracking.process RUN``, as long as its standard input is open."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from nas.run.folder import Run
from nas.tracking.follower import LOCK, PATIENCE
from nas.tracking.mirror import Mirror
from nas.tracking.opened import opened
from nas.util import locks, signals
from nas.util.errors import UserError, first_line, one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from nas.tracking.protocol import Tracker

_LOOK = 1.0  # seconds between two looks at the journal
_WAIT, _LONGEST = 5.0, 300.0  # seconds until a tracker that failed is tried again, at first and at most
_OTHER = 90  # seconds that an earlier search's process may take to end
_NICENESS = 10


class TrackerUpdater:
    """Sends a run's journaled events to its tracker, and retries what it did not take."""

    def __init__(self, run: Run, say: Callable[[str], None]) -> None:
        """Takes the run.

        Args:
            run: The run.
            say: Called with a line when the tracker begins to fail, and when it works again.
        """
        tracked = run.read_tracking()
        assert tracked is not None
        self._run, self._tracked, self._say = run, tracked, say
        self._mirror = Mirror(run)
        self._tracker: Tracker | None = None
        self._failed = 0  # times in a row
        self._next = 0.0

    def look(self) -> None:
        """Tells what is new, or tries again later.

        Raises:
            UserError: If a journal is damaged.
        """
        self._mirror.read()
        if time.monotonic() >= self._next:
            self._try(lambda: self.tell(live=True))

    def end(self) -> bool:
        """Sends how everything ended; returns whether the tracker has it all.

        Raises:
            UserError: If a journal is damaged.
        """
        self._mirror.read()
        return self._try(lambda: self.tell(live=False, last=True))

    def tell(self, *, live: bool, last: bool = False) -> None:
        """Tells what was read; any error is the tracker's.

        Args:
            live: Whether somebody works on the run.
            last: Nothing more will be told: the run's files are sent too.
        """
        if self._tracker is None:
            self._tracker = opened(self._run, self._tracked)
            self._mirror.resend()
        self._mirror.tell(self._tracker, live=live)
        if last:
            self._tracker.artifacts(self._mirror.artifacts())
            self._tracker.close()

    def update_once(self) -> None:
        """Reads and tells everything once; any error but a UserError is the tracker's."""
        self._mirror.read()
        self.tell(live=locks.holder(self._run.lock_file) is not None, last=True)

    def _try(self, tell: Callable[[], None]) -> bool:
        try:
            tell()
        except Exception as error:  # whatever a tracker raises, the search goes on
            self._fail(error)
            return False
        if self._failed:
            self._say("the tracker answers again, nothing is missing")
        self._failed = 0
        return True

    def _fail(self, error: Exception) -> None:
        if self._tracker is not None:
            with contextlib.suppress(Exception):
                self._tracker.close()
        self._tracker = None
        self._failed += 1
        self._next = time.monotonic() + min(_WAIT * 2 ** (self._failed - 1), _LONGEST)
        if self._failed == 1:
            why = one_line(first_line(error))
            self._say(f"{self._tracked.log} does not take it ({why}); the search goes on, it is tried again")


def follow(run: Run, say: Callable[[str], None]) -> bool:
    """Follows a run until standard input ends, then tells the rest.

    Returns:
        Whether the tracker has it all.
    """
    teller = TrackerUpdater(run, say)
    while not _ended():
        teller.look()
    threading.Thread(target=_end_in_time, daemon=True).start()
    return teller.end()


def _ended() -> bool:
    """Waits for the next look; true once whoever started this process has ended, or says that it is over."""
    ready, _, _ = select.select([sys.stdin], [], [], _LOOK)
    return bool(ready) and not os.read(sys.stdin.fileno(), 1)


def _end_in_time() -> None:
    """Ends this process when nobody waits for it any more."""
    time.sleep(2 * PATIENCE)
    os._exit(1)


def main() -> int:
    """Runs the process; returns its exit code."""
    signals.ignore_ending()
    with contextlib.suppress(OSError):
        os.nice(_NICENESS)
    run = Run.open(Path(sys.argv[1]))
    said = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what libraries print

    def say(text: str) -> None:
        with contextlib.suppress(OSError):
            print(text, file=said, flush=True)

    try:
        with locks.held(run.path / LOCK, "tracking", looks=_OTHER * 20):
            whole = follow(run, say)
    except locks.LockHeld as busy:
        say(f"told by {busy.holder or 'another process'} already")
        return 0
    except UserError as error:
        say(str(error))
        return 1
    return 0 if whole else 1


if __name__ == "__main__":
    sys.exit(main())
