"""Begins and resumes searches from Python."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from nas.api import arguments, guard, images, spaces
from nas.api.runs import Run
from nas.api.watching import Watcher
from nas.run import folder
from nas.search import session
from nas.search.settings import SearchSettings, refuse_foreign_space
from nas.tracking.settings import NONE, Log
from nas.util import user_input
from nas.util.errors import SettingError, UserError
from search_spaces.registry import DEFAULT

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from datetime import timedelta

    from nas.api.trials import Trial
    from nas.data.images import ImageSet
    from search_spaces.base import SearchSpace

_DATA = "arrays"  # in the name of a run if neither it nor its data have one


@guard.spawning()
def run_search(
    data: Any = "cifar100",
    *,
    space: str | SearchSpace | type[SearchSpace] = DEFAULT,
    budget: str | float | timedelta = "72h",
    trials: int | None = None,
    name: str | None = None,
    runs_dir: str | os.PathLike[str] = "runs",
    on_trial: Callable[[Trial], object] | None = None,
    on_epoch: Callable[[Trial], object] | None = None,
    log: str = NONE,
    quiet: bool = False,
    **settings: Any,
) -> Run:
    """Begins a search and returns when a limit is reached, or after Ctrl-C.

    Finished trials are never lost; :func:`resume_search` continues the search. Trials run in separate
    processes, so a script must call this under ``if __name__ == "__main__":``.

    Args:
        data: ``"cifar100"``, ``"cifar10"``, ``"digits"``, ``"npz:FILE"``, ``"folder:DIR"``; or images uint8
            ``(N, H, W)`` or ``(N, H, W, C)``, labels ``(N,)`` and optionally the names of the classes, as a
            tuple; or a torch ``Dataset``. Data other than names are copied to the run folder.
        space: The search space: a name, a subclass of :class:`nas.SearchSpace` or an instance of one.
        budget: Time budget of the whole run: ``"72h"``, ``"1h30m"``, seconds or a ``timedelta``.
        trials: Also stop after this number of finished trials.
        name: Name of the run folder; None: the data and the time.
        runs_dir: Folder of the run folders.
        on_trial: Called with each trial that has ended. An exception from it ends the search cleanly and is
            then raised here; a KeyboardInterrupt only ends the search.
        on_epoch: Called in the same way with the running trial after each of its epochs.
        log: Where else to show it while it runs: ``"tensorboard"``, ``"wandb"`` or ``"mlflow"``.
        quiet: Print nothing. Otherwise: a live panel on a terminal, a line for each trial in a notebook.
        **settings: Other settings of ``python -m nas.search``; docs/python-api.md lists them.

    Returns:
        The run; :attr:`nas.Run.stopped` says why it ended.

    Raises:
        UserError: If anything is invalid; no folder is then left behind.
    """
    found = None if isinstance(data, str) else images.read(data)
    values = {"space": spaces.name_of(space), "budget": budget, "trials": trials, **settings}
    if found is None:
        values["data"] = data
    wanted = arguments.settings(values)
    with arguments.named():
        runs = user_input.path("runs_dir", Path(runs_dir))
    watcher = Watcher(quiet=quiet, on_trial=on_trial, on_epoch=on_epoch)
    with arguments.named(), contextlib.ExitStack() as stack:
        path = (
            runs / _checked(name) if name is not None else stack.enter_context(_unnamed(runs, wanted, found))
        )
        _refuse_existing(path)
        if found is not None:
            note: Callable[[str], None] = (lambda _: None) if quiet else print
            place = stack.enter_context(images.placed(path, found, note))
            wanted = replace(wanted, data=replace(wanted.data, dataset=place))
        _say_what_takes_time(wanted, quiet=quiet)
        session.begin(path, wanted, watcher.view, filled=found is not None, log=_log(log))
    watcher.reraise()
    return Run(path)


@guard.spawning()
def resume_search(
    run: Run | str | os.PathLike[str],
    *,
    budget: str | float | timedelta | None = None,
    trials: int | None = None,
    space: str | SearchSpace | type[SearchSpace] | None = None,
    on_trial: Callable[[Trial], object] | None = None,
    on_epoch: Callable[[Trial], object] | None = None,
    log: str | None = None,
    quiet: bool = False,
    **settings: Any,
) -> Run:
    """Continues a search from the end of its journal, as if it had not been interrupted.

    Args:
        run: The run, or its folder.
        budget: Time budget of the whole run, including earlier sessions; None: as before.
        trials: Maximum number of finished trials of the whole run; None: as before.
        space: The search's space again, if it is a custom one; its code is not run otherwise.
        on_trial: See :func:`run_search`.
        on_epoch: See :func:`run_search`.
        log: See :func:`run_search`; None: as before, ``"none"``: no longer.
        quiet: See :func:`run_search`.
        **settings: What else may change: where trials run (``device``, ``trial_workers``, ...) and where the
            data are, but nothing that would change the results.

    Returns:
        The run.

    Raises:
        UserError: If it cannot be continued; it is then unchanged.
    """
    path = run.path if isinstance(run, Run) else user_input.path("run", Path(run))
    found = folder.Run.open(path).read_search()
    stored = SearchSettings.of(found)
    said = None if space is None else spaces.name_of(space)
    with arguments.named():
        refuse_foreign_space(stored, said)
    values = {name: value for name, value in (("budget", budget), ("trials", trials)) if value is not None}
    if said is not None:
        values["space"] = said
    wanted = arguments.settings({**values, **settings}, stored)
    watcher = Watcher(quiet=quiet, on_trial=on_trial, on_epoch=on_epoch)
    with arguments.named():
        _say_what_takes_time(wanted, quiet=quiet)
        session.resume(path, wanted, watcher.view, found, log=None if log is None else _log(log))
    watcher.reraise()
    return Run(path)


def _unnamed(
    runs: Path, wanted: SearchSettings, found: ImageSet | None
) -> contextlib.AbstractContextManager[Path]:
    if found is not None:
        wanted = replace(wanted, data=replace(wanted.data, dataset=_DATA))
    return session.unnamed(runs, wanted)


def _checked(name: str) -> str:
    if not isinstance(name, str) or not name or "/" in name or name in (".", ".."):
        raise SettingError(
            "name", name, "must be a folder's name; runs_dir is the folder that holds it", repr(name)
        )
    user_input.refuse_long_name("name", name)
    return str(user_input.path("name", Path(name)))


def _log(log: str) -> str:
    if log not in get_args(Log):
        raise SettingError("log", log, f"must be one of {', '.join(get_args(Log))}", repr(log))
    return log


def _say_what_takes_time(wanted: SearchSettings, *, quiet: bool) -> None:
    if not quiet:
        print(f"{session.getting_ready(wanted)} ...", flush=True)


def _refuse_existing(path: Path) -> None:
    if path.exists() and not folder.Run(path).search_json.exists():
        raise UserError(f"{path}: exists already, and is not a run; take another name, or remove it")
    if path.exists():
        raise UserError(
            f"{path}: exists already; nas.resume_search({str(path)!r}) goes on with it, another name "
            "starts a new run"
        )
