"""Keeps a tracker in step with a run's journals, the only source of truth."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from nas.run.events import Ended, Epoch, NewIncumbent, RepeatAsked, SessionStarted, Slots, Started
from nas.run.objectives import Objectives, hypervolume
from nas.run.state import SearchState
from nas.run.tail import Tail
from nas.tracking import entries
from nas.tracking.entries import Point
from nas.util.timestamps import from_iso

if TYPE_CHECKING:
    from nas.run.events import Event
    from nas.run.folder import Run
    from nas.tracking.entries import Entry
    from nas.tracking.protocol import Tracker

_EXPORTED = "smacnas"  # key of an exported folder's config.json


@dataclass
class _JournalReader:
    """One of a run's two journals, its fold, and what the fold does not keep.

    Attributes:
        tail: The journal.
        confirmation: Whether it is that of ``nas.confirm``.
        state: Its fold.
        times: When epochs ended, by trial and epoch, of trials that have to be sent.
        searched: The first trial, by the number of a further training of it.
        due: Trials with news for the tracker, in order.
    """

    tail: Tail
    confirmation: bool
    state: SearchState = field(default_factory=SearchState)
    times: dict[int, dict[int, float]] = field(default_factory=dict)
    searched: dict[int, int | None] = field(default_factory=dict)
    due: dict[int, None] = field(default_factory=dict)

    def take(self, event: Event) -> None:
        """Takes one more event into account."""
        self.state.apply(event)
        if isinstance(event, RepeatAsked):
            self.searched[event.trial] = event.searched_trial
        elif isinstance(event, Started | Epoch | Ended):
            self.due[event.trial] = None
            if isinstance(event, Epoch):
                self.times.setdefault(event.trial, {})[event.epoch] = from_iso(event.time)

    def entry(self, number: int, *, running: bool) -> Entry:
        """Returns a trial's entry."""
        return entries.of_trial(
            self.state.trials[number],
            self.times.get(number, {}),
            confirmation=self.confirmation,
            running=running,
            searched=self.searched.get(number),
        )


class Mirror:
    """Reads a run's journals and sends each piece of news to a tracker once.

    What the tracker could not take is sent again: nothing depends on when it is sent.
    """

    def __init__(self, run: Run) -> None:
        """Begins with nothing read."""
        self._run = run
        self._search = run.read_search()
        self._objectives = Objectives.of(self._search)
        self._books = (
            _JournalReader(Tail(run.journal), False),
            _JournalReader(Tail(run.confirm_journal), True),
        )
        self._curve: dict[int, Point] = {}
        self._open: tuple[int, Point] | None = None  # the search's latest point, which may still change
        self._front: dict[str, float] = {}

    def read(self) -> None:
        """Takes in what was journaled since the last time.

        Raises:
            UserError: If a journal is damaged.
        """
        searched, confirmed = self._books
        for event in searched.tail.more():
            searched.take(event)
            if isinstance(event, SessionStarted):  # another session may have other limits
                self._search = self._run.read_search()
            self._follow(event, searched.state)
        for event in confirmed.tail.more():
            confirmed.take(event)

    def _follow(self, event: Event, state: SearchState) -> None:
        """Adds to the search's own curve."""
        if isinstance(event, Ended) and not event.cached:
            self._close()
            if self._objectives is not None and state.trials[event.trial].epochs == self._search.rungs[-1]:
                self._front = _front(self._objectives, state, self._search.rungs[-1])
        elif not isinstance(event, NewIncumbent):
            if not isinstance(event, Epoch | Slots):
                self._close()
            return
        self._open = (state.finished, Point(from_iso(event.time), {**_standing(state), **self._front}))

    def _close(self) -> None:
        if self._open is not None:
            self._curve[self._open[0]] = self._open[1]
            self._open = None

    def tell(self, tracker: Tracker, *, live: bool = True) -> None:
        """Tells the tracker what is due.

        Args:
            tracker: Whom to tell.
            live: Whether somebody works on the run; if not, trials that did not end were killed.
        """
        state = self._books[0].state
        if not live:
            self._close()
            for book in self._books:  # the state of open trials has changed
                book.due |= {one.trial: None for one in book.state.open_trials() if one.attempts}
        running = live and not state.stopped
        tracker.send(entries.of_search(self._run.name, self._search, state, self._curve, running=running))
        for book in self._books:
            for number in list(book.due):
                entry = book.entry(number, running=live)
                tracker.send(entry)
                del book.due[number]
                if entry.complete:
                    book.times.pop(number, None)

    def resend(self) -> None:
        """Sends everything again, to a tracker that was opened again."""
        for book in self._books:
            begun = (t.trial for t in book.state.trials.values() if t.attempts or t.finished)
            book.due = dict.fromkeys(begun)

    def artifacts(self) -> dict[str, Path]:
        """Returns files and folders that belong to the run, by their names."""
        run, tracked = self._run, self._run.read_tracking()
        files = (run.incumbent_json, run.front_json, run.confirmed_json, run.report)
        found = {path.name: path for path in files if path.is_file()}
        models = [Path(path) for path in (() if tracked is None else tracked.models)]
        return found | {f"models/{path.name}": path for path in models if _is_model(path)}


def _is_model(path: Path) -> bool:
    """Whether a folder is one that ``nas.export`` wrote: a run from anywhere may name any folder."""
    try:
        config = json.loads((path / "config.json").read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and _EXPORTED in config


def _standing(state: SearchState) -> dict[str, float]:
    """Returns how far a search has come, in figures."""
    found = {
        "trials": float(state.finished),
        "crashes": float(len(state.crashed)),
        "seconds_used": state.clock,
    }
    error, seeds, _ = state.estimate
    if state.incumbent is not None and error is not None:
        found |= {"incumbent_error": error, "incumbent_trial": state.incumbent, "incumbent_seeds": seeds}
    return found


def _front(objectives: Objectives, state: SearchState, epochs: int) -> dict[str, float]:
    members = objectives.front(state, epochs)
    found = {"front_size": float(len(members))}
    reference = objectives.reference(state, epochs)
    if reference is not None:
        found["hypervolume"] = hypervolume([objectives.point(trial) for trial in members], reference)
    return found
