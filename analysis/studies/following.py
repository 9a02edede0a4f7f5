"""A run's trainings, put together as Optuna's trials and kept up to date while the journal grows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nas.run import liveness
from nas.run.events import Asked, Ended, Epoch, Paused, SessionStarted, SessionStopped, Started
from nas.run.state import SearchState
from nas.run.tail import Tail
from nas.util.errors import UserError

if TYPE_CHECKING:
    from nas.run.events import Event
    from nas.run.folder import Run
    from nas.run.state import Trial


class Following:
    """A run's trainings by what they are one trial of: a configuration at all its rungs, or a further seed.

    Attributes:
        trainings: The journal's trials by :attr:`nas.run.state.Trial.key`, in the order first asked.
        alive: Whether the search runs, as far as can be seen from here.
    """

    def __init__(self, run: Run) -> None:
        """Takes the run; nothing is read yet."""
        self.trainings: dict[str, list[Trial]] = {}
        self.alive = False
        self._run = run
        self._state = SearchState()
        self._tail = Tail(run.journal)

    def catch_up(self) -> list[str]:
        """Takes in what was journaled since the last call; the keys whose trainings changed.

        Raises:
            UserError: If the journal is damaged, or shorter than it was.
            OSError: If it cannot be read now.
        """
        if self._run.journal.stat().st_size < self._tail.offset:
            raise UserError(f"{self._run.journal}: was cut; start again to see what is left of it")
        changed: dict[str, None] = {}
        for event in self._tail.more():
            changed |= dict.fromkeys(self._take(event))
        alive = liveness.of(self._run, self._state).status in (liveness.RUNNING, liveness.AWAY)
        if alive != self.alive:
            self.alive = alive
            changed |= dict.fromkeys(self._open())
        return list(changed)

    def _take(self, event: Event) -> list[str]:
        self._state.apply(event)
        match event:
            case Asked():
                trial = self._state.trials[event.trial]
                self.trainings.setdefault(trial.key, []).append(trial)
                return [trial.key]
            case Started() | Epoch() | Paused() | Ended():
                return [self._state.trials[event.trial].key]
            case SessionStarted() | SessionStopped():
                return self._open()
        return []

    def _open(self) -> list[str]:
        return [trial.key for trial in self._state.open_trials()]
