"""A run as a study in a storage of the user's."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.studies import storages
from analysis.studies.following import Following
from analysis.studies.study import ORIGIN, Study
from analysis.studies.trials import frozen
from nas.util.errors import UserError, setting
from nas.util.files import replacing

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

    from nas.run.folder import Run


def write(run: Run, out: str) -> int:
    """Adds a run's study to a storage, in place of an earlier export of the same run; returns its trials.

    A new file is there whole or not at all. A trial that was due or ran is written as such.

    Args:
        run: The run.
        out: As :func:`analysis.studies.storages.opened` takes it.

    Raises:
        UserError: If the run is damaged, or the storage refuses or has another study of that name.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study, following = Study.of(run), Following(run)
    following.catch_up()
    path = Path(out)
    if storages.is_url(out) or path.exists():
        _add(study, following, out)
        return len(following.trainings)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            _add(study, following, str(temporary))
    except OSError as error:
        raise UserError(
            f"{out}: cannot be written ({error.strerror}); choose another with {setting('out')}"
        ) from None
    return len(following.trainings)


def _add(study: Study, following: Following, out: str) -> None:
    with storages.opened(out) as storage, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of experimental parts; none is our user's affair
        _make_room(storage, study, out)
        number = study.create(storage)
        for place, trainings in enumerate(following.trainings.values()):
            trial = frozen(trainings, study, number=place, trial_id=place, alive=following.alive)
            storage.create_new_trial(number, trial)


def _make_room(storage: BaseStorage, study: Study, out: str) -> None:
    for other in storage.get_all_studies():
        if other.study_name != study.name:
            continue
        if other.user_attrs.get(ORIGIN) != study.origin:
            raise UserError(
                f"{storages.shown(out)}: has another study called {study.name} already; rename that one, or "
                f"choose another storage with {setting('out')}"
            )
        storage.delete_study(other._study_id)
