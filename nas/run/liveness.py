"""Tells whether a search is running, stopped, killed, or not visible from this machine."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nas.util.locks import BEAT

if TYPE_CHECKING:
    from nas.run.folder import Run
    from nas.run.state import SearchState

RUNNING, STOPPED, DEAD, COPIED, AWAY = "running", "stopped", "dead", "copied", "away"


@dataclass(frozen=True)
class Liveness:
    """Whether a run is running, stopped or dead.

    Attributes:
        status: ``running``, ``stopped``, ``dead`` (killed), ``copied`` (from a folder whose search had not
            ended) or ``away`` (last searched on another machine, whose locks may not be seen here).
        host: Machine of the last session, "" if unknown.
        silent_seconds: Seconds since the journal last grew, never negative, whatever the clocks say.
    """

    status: str
    host: str = ""
    silent_seconds: float = 0.0


def of(run: Run, state: SearchState) -> Liveness:
    """Determines whether a run is running, stopped or dead, as seen from this machine."""
    if run.is_locked():
        return Liveness(RUNNING, silent_seconds=_silence(run))
    if state.stopped or not state.sessions:
        return Liveness(STOPPED if state.stopped else DEAD)
    last = state.sessions[-1]
    host, age = last.host, max(time.time() - run.journal.stat().st_mtime, 0.0)
    if host and host != socket.gethostname():
        return Liveness(AWAY, host, age)
    home, here = last.folder, run.identity()
    copied = home is not None and all(home.get(key) != value for key, value in here.items())
    return Liveness(COPIED if copied else DEAD, host, age)


def _silence(run: Run) -> float:
    """Returns the seconds since a running search last wrote its journal.

    Its journal and its lock, which it touches every few seconds, both carry the file system's time. This
    machine's clock refines that only if it agrees, since the file system may be another machine's and clocks
    may be set.
    """
    try:
        journal, lock = run.journal.stat().st_mtime, run.lock_file.stat().st_mtime
    except OSError:
        return 0.0
    known, by_clock = max(lock - journal, 0.0), time.time() - journal
    return by_clock if known <= by_clock <= known + 3 * BEAT else known
