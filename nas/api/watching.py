"""A listener that calls a user's functions besides showing the search."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from nas.api.trials import Trial
from nas.run.events import Ended, Epoch
from nas.search.view import choose
from nas.util.signals import INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nas.run.events import Event
    from nas.run.state import SearchState
    from nas.search.listener import Listener
    from nas.search.session import RunningSession


class Watcher:
    """Builds a search's view, and holds an exception of a user's function until the search has ended.

    Functions are called between two steps of the search, so they may be slow. An exception stops the search
    like Ctrl-C, so that no finished trial is lost.
    """

    def __init__(
        self,
        *,
        quiet: bool,
        on_trial: Callable[[Trial], object] | None,
        on_epoch: Callable[[Trial], object] | None,
    ) -> None:
        """Takes the functions to call at a trial's end and after each of its epochs."""
        self._show = choose(quiet=quiet)
        self._on_trial, self._on_epoch = on_trial, on_epoch
        self._raised: BaseException | None = None

    @contextlib.contextmanager
    def view(self, watched: RunningSession) -> Iterator[Listener]:
        """The view of a session, see :func:`nas.search.session.begin`."""
        with self._show(watched) as shown:
            yield _Calls(shown, lambda event, state: self._call(event, state, watched.stop))

    def reraise(self) -> None:
        """Raises the exception of a user's function, except a KeyboardInterrupt, which only stops."""
        if self._raised is not None and not isinstance(self._raised, KeyboardInterrupt):
            raise self._raised

    def _call(self, event: Event, state: SearchState, stop: Callable[[str], None]) -> None:
        if not isinstance(event, (Ended, Epoch)) or self._raised is not None:
            return
        function = self._on_epoch if isinstance(event, Epoch) else self._on_trial
        if function is None or (isinstance(event, Ended) and event.cached):
            return
        try:
            function(Trial.of(state.trials[event.trial]))
        except BaseException as error:  # whatever it is, the search first ends cleanly
            self._raised = error
            stop(INTERRUPTED)


class _Calls:
    """Passes everything on to a listener, and then every event to a function."""

    def __init__(self, shown: Listener, call: Callable[[Event, SearchState], None]) -> None:
        self._shown, self._call = shown, call
        self.note, self.tick = shown.note, shown.tick

    def event(self, event: Event, state: SearchState) -> None:
        self._shown.event(event, state)
        self._call(event, state)
