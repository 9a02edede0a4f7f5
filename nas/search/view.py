"""Views of a search for people: a live panel and plain lines."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

from nas.run.objectives import Objectives
from nas.util.spinner import can_redraw, in_foreground

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from nas.search.listener import Listener
    from nas.search.session import RunningSession
    from nas.view.snapshot import Snapshot


def choose(*, quiet: bool) -> Callable[[RunningSession], AbstractContextManager[Listener]]:
    """Returns the suitable view: a live panel on a terminal, lines elsewhere, nothing if quiet."""
    if quiet:
        return _silent
    on_terminal = can_redraw(sys.stdout) and in_foreground(sys.stdout.fileno())
    return _live if on_terminal else _lines


@contextlib.contextmanager
def _live(watched: RunningSession) -> Iterator[Listener]:
    from nas.view.live import LiveView
    from nas.view.snapshot import take

    def snapshot_now() -> Snapshot:
        return take(
            watched.state, watched.search, name=watched.run.name, status="running", used=watched.used()
        )

    with LiveView(snapshot_now) as view:
        yield view


@contextlib.contextmanager
def _lines(watched: RunningSession) -> Iterator[Listener]:
    from nas.view.logfile import LineWriter

    writer = LineWriter(sys.stdout, Objectives.of(watched.search))
    writer.note(f"run folder {watched.run.path}")
    yield writer


@contextlib.contextmanager
def _silent(watched: RunningSession) -> Iterator[Listener]:  # noqa: ARG001 - one signature for all views
    from nas.view.logfile import SilentListener

    yield SilentListener()
