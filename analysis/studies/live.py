"""A run mirrored into an Optuna storage while its search goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

from analysis.studies.following import Following
from analysis.studies.study import Study
from analysis.studies.trials import frozen

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from nas.run.folder import Run


class LiveStorage(InMemoryStorage):
    """Studies of runs in this process's memory.

    A configuration that stopped at a low rung may go on, which no other storage of Optuna lets a trial do:
    there, what has ended has ended.
    """

    def add(self, study_id: int, make: Callable[[int, int], FrozenTrial]) -> tuple[int, int]:
        """Adds a trial; its number in the study, and its id.

        Args:
            study_id: The study's number.
            make: Makes the trial of its number and id.

        Raises:
            KeyError: If there is no such study.
        """
        with self._lock:  # nobody sees the empty trial
            trial_id = self.create_new_trial(study_id)
            number = self.get_trial_number_from_id(trial_id)
            self._set_trial(trial_id, make(number, trial_id))
        return number, trial_id

    def put(self, trial: FrozenTrial) -> None:
        """Takes a trial in place of the one that has its id.

        Raises:
            KeyError: If there is none.
        """
        with self._lock:
            self._set_trial(trial._trial_id, trial)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """Returns the trials of a study, of all states or of some.

        Raises:
            KeyError: If there is no such study.
        """
        # For this tuple alone Optuna begins after the trials that no longer waited; ours may wait again.
        among = [TrialState.WAITING] if states == (TrialState.WAITING,) else states
        return super().get_all_trials(study_id, deepcopy, among)

    def get_best_trial(self, study_id: int) -> FrozenTrial:
        """The trial of the least error, within the limits if there is one.

        Raises:
            ValueError: If none is complete.
        """
        complete = self.get_all_trials(study_id, deepcopy=False, states=(TrialState.COMPLETE,))
        if not complete:
            raise ValueError("No trials are completed yet.")
        return min(complete, key=lambda trial: (not _fits(trial), trial.values, trial.number))


def _fits(trial: FrozenTrial) -> bool:
    return all(excess <= 0 for excess in trial.system_attrs.get("constraints", ()))


class Mirror:
    """One run in a storage: a study, and for a run with objectives a second one of the error alone.

    Attributes:
        run: The run.
        study_id: Its study's number in the storage.
    """

    def __init__(self, run: Run, name: str, storage: LiveStorage) -> None:
        """Adds the run's studies; no trial is read yet.

        Args:
            run: The run.
            name: Name of its study.
            storage: Storage to write to.

        Raises:
            UserError: If a file of the run is damaged.
        """
        study = Study.of(run, name)
        views = [study, study.error_only()] if study.costs else [study]
        self.run = run
        self._views = {view.create(storage): view for view in views}
        self.study_id = next(iter(self._views))
        self._storage = storage
        self._following = Following(run)
        self._places: dict[tuple[int, str], tuple[int, int]] = {}

    def refresh(self) -> int:
        """Brings the storage up to date; the number of trials that changed.

        Raises:
            UserError: If the journal is damaged, or cut since the last call.
            OSError: If it cannot be read now.
        """
        changed = self._following.catch_up()
        for key in changed:
            for study_id, view in self._views.items():
                self._put(study_id, view, key)
        return len(changed)

    def _put(self, study_id: int, view: Study, key: str) -> None:
        trainings, alive = self._following.trainings[key], self._following.alive

        def make(number: int, trial_id: int) -> FrozenTrial:
            return frozen(trainings, view, number=number, trial_id=trial_id, alive=alive)

        place = self._places.get((study_id, key))
        if place is None:
            self._places[study_id, key] = self._storage.add(study_id, make)
        else:
            self._storage.put(make(*place))
