"""Weights & Biases: a run for the search and one for each trial, in a group."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING, Any, cast

import wandb

from nas.tracking.entries import PAUSED, SEARCH, SUCCESS
from nas.tracking.place import OFFLINE
from nas.tracking.protocol import Sent

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from nas.tracking.entries import Entry

PROJECT = "smacnas"
_FINE = (SUCCESS, "budget", "trials", "exhausted", PAUSED)


class Wandb:
    """Runs whose ids are the run folder's own id and the entry's key.

    Offline, entries that an earlier process left unfinished are written again: its file may end anywhere, and
    a server takes a run's file as a whole. Online, the server says how far a run has come.
    """

    def __init__(self, home: Path, run_id: str, group: str, mode: str) -> None:
        """Opens nothing yet.

        Args:
            home: Folder for everything local, called ``wandb``, as the library insists.
            run_id: The run's own id.
            group: Name of the group.
            mode: ``offline``, ``online`` or another one of the library's.
        """
        self._home, self._id, self._group, self._mode = home, run_id, group, mode
        self._whole = Sent(home / f"whole-{mode}.txt")
        self._open: dict[str, _Run] = {}

    def send(self, entry: Entry) -> None:
        """Takes an entry as far as it has come."""
        if entry.key in self._whole:
            return
        if entry.key not in self._open:
            self._open[entry.key] = _Run(self._begin(entry))
        self._open[entry.key].update(entry)
        if entry.complete:
            self._open.pop(entry.key).finish()
            self._whole.add(entry.key)

    def _begin(self, entry: Entry) -> Any:
        name = f"{self._id}-{entry.key}"
        offline = self._mode == OFFLINE
        if offline:
            for old in self._home.glob(f"offline-run-*-{name}"):
                shutil.rmtree(old)
        self._home.mkdir(parents=True, exist_ok=True)
        settings = wandb.Settings(
            mode=cast("Any", self._mode),  # what the user set is checked there
            root_dir=str(self._home.parent),
            reinit="create_new",
            console="off",
            silent=True,
            disable_git=True,
            disable_code=True,
            x_disable_meta=True,
            x_disable_stats=True,
        )
        return wandb.init(
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            id=name,
            name=f"{self._group} {entry.name}" if entry.key != SEARCH else entry.name,
            group=f"{self._group}-{self._id[:8]}",
            job_type=entry.kind,
            resume=None if offline else "allow",
            settings=settings,
        )

    def artifacts(self, found: Mapping[str, Path]) -> None:
        """Logs them with the search's run."""
        for name, path in found.items():
            self._open[SEARCH].file(f"{self._group}-{self._id[:8]}-{name}", path)

    def close(self) -> None:
        """Closes all runs as they stand."""
        for run in self._open.values():
            run.finish()
        self._open.clear()


class _Run:
    """One run of the library and what it was sent."""

    def __init__(self, run: Any) -> None:
        self._run = run
        self._next: int = run.step  # what a server has already is not sent again
        self._settings: Mapping[str, Any] = {}
        self._state = ""

    def update(self, entry: Entry) -> None:
        """Sends what is new."""
        if entry.settings != self._settings:
            self._settings = entry.settings
            self._run.config.update(dict(entry.settings), allow_val_change=True)
        for step, point in entry.curve.items():
            if step >= self._next:
                self._run.log(dict(point.values), step=step, commit=True)
                self._next = step + 1
        if entry.state != self._state:
            self._state = entry.state
            self._run.summary.update({"state": entry.state, "reason": entry.reason})
        if entry.complete:
            self._run.summary.update(dict(entry.results))

    def file(self, name: str, path: Path) -> None:
        """Logs a file or folder."""
        artifact = wandb.Artifact(re.sub(r"[^\w.-]", "-", name), "model" if path.is_dir() else "result")
        if path.is_dir():
            artifact.add_dir(str(path))
        else:
            artifact.add_file(str(path))
        self._run.log_artifact(artifact)

    def finish(self) -> None:
        """Closes it: as failed if it crashed or was killed."""
        self._run.finish(exit_code=0 if self._state in _FINE else 1)
