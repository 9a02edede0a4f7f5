"""The run folder ``runs/<name>/``: the interface between search, status, analysis and export."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from nas.run import confirmed_file, journal, tracking_file
from nas.run.confirmed_file import ConfirmedFile
from nas.run.search_file import VERSION, SearchFile
from nas.run.tracking_file import TrackingFile
from nas.util import locks, records
from nas.util.commands import typed
from nas.util.errors import UserError, not_written, setting
from nas.util.files import overwrite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from nas.run.front import FrontFile
    from nas.run.incumbent import IncumbentFile
    from nas.run.journal import Contents

T = TypeVar("T", bound=records.Record)
SEARCHING, CONFIRMING = "searching", "confirming"  # purposes for which a run is locked


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Replaces a JSON file atomically: readers see either the old or the new file.

    Raises:
        OSError: If it cannot be written; the old file is then unchanged.
    """
    overwrite(path, orjson.dumps(values, option=orjson.OPT_INDENT_2) + b"\n")


class _RunPath:
    """The path of something in a run's folder."""

    def __init__(self, *parts: str) -> None:
        self._parts = parts

    def __get__(self, run: Run, _: type[Run]) -> Path:
        return run.path.joinpath(*self._parts)


@dataclass(frozen=True)
class Run:
    """A run folder and the files in it."""

    path: Path

    @property
    def name(self) -> str:
        """Name of the run."""
        return self.path.resolve().name

    search_json = _RunPath("search.json")
    """Settings, space, data, versions, hardware."""
    configspace_json = _RunPath("configspace.json")
    """The space in ConfigSpace's JSON format."""
    images = _RunPath("images.npz")
    """The images, if they were given as arrays."""
    earlier_json = _RunPath("earlier.json")
    """Results of an earlier run, if this one began with a warm start."""
    journal = _RunPath("trials.jsonl")
    """The events; the only source of truth."""
    salvaged = _RunPath("salvaged.jsonl")
    """Results from after the place where ``nas.repair`` had to cut the journal."""
    incumbent_json = _RunPath("incumbent.json")
    """The best trial so far."""
    front_json = _RunPath("front.json")
    """The front of error and costs, for a run with costs."""
    costs_jsonl = _RunPath("costs.jsonl")
    """Cache of counted costs."""
    checkpoints = _RunPath("checkpoints")
    """Weights of configurations that may be promoted."""
    weights = _RunPath("weights")
    """Trained weights of the best networks of the highest rung, as validated."""
    confirm_journal = _RunPath("confirm.jsonl")
    """The events of ``nas.confirm``, which trains the best configurations again."""
    confirm_checkpoints = _RunPath("checkpoints", "confirm")
    """Checkpoints of the trainings of ``nas.confirm``."""
    confirmed_json = _RunPath("confirmed.json")
    """Results of ``nas.confirm``."""
    tracking_json = _RunPath("tracking.json")
    """Which tracker the run is shown in, and under which id, if there is one."""
    report = _RunPath("analysis", "report.html")
    """The page that ``analysis.report`` writes."""
    smac = _RunPath("smac")
    """SMAC's output files, for other tools."""
    log = _RunPath("search.log")
    """The log."""

    @classmethod
    def create(
        cls,
        path: Path,
        search: SearchFile,
        configspace: Mapping[str, Any],
        earlier: Mapping[str, Any] | None = None,
    ) -> Run:
        """Creates a new run folder, completely or not at all.

        Args:
            path: The folder; it may exist already, holding :attr:`images` and nothing else.
            search: Content of ``search.json``.
            configspace: Content of ``configspace.json``.
            earlier: Content of ``earlier.json``, None for none.

        Raises:
            UserError: If it exists already or cannot be created.
        """
        given = cls(path).images
        if path.exists() and [*path.iterdir()] != [given]:
            raise UserError(_exists(path))
        staging: Path | None = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            staging = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
            staging.chmod(0o755)
            new = cls(staging)
            new.checkpoints.mkdir()
            new.write(search)
            write_json(new.configspace_json, configspace)
            if earlier is not None:
                write_json(new.earlier_json, earlier)
            new.journal.touch()
            if given.exists():  # all readers of the images are done
                given.rename(new.images)
                path.rmdir()
            staging.rename(path)
        except OSError as error:
            if path.exists():  # created by another search in the meantime
                raise UserError(_exists(path)) from None
            raise UserError(f"{path}: no run folder can be made there ({error.strerror})") from error
        finally:
            if staging is not None:
                shutil.rmtree(staging, ignore_errors=True)
        return cls(path)

    def identity(self) -> dict[str, Any]:
        """Identifies this folder, as opposed to a copy: a move keeps the inode, a new mount the path."""
        path = self.path.resolve()
        return {"path": str(path), "inode": path.stat().st_ino}

    @classmethod
    def open(cls, path: Path) -> Run:
        """Opens an existing run.

        Raises:
            UserError: If the folder is not a run.
        """
        run = cls(path)
        if not run.search_json.is_file() or not run.journal.is_file():
            found = "no such folder" if not path.is_dir() else "no search.json and trials.jsonl in it"
            raise UserError(f"{path}: not a run folder ({found})")
        return run

    def read_search(self) -> SearchFile:
        """Reads ``search.json``.

        Raises:
            UserError: If it is damaged or of another version.
        """
        search = _read(self.search_json, SearchFile, VERSION)
        if search.settings.data.dataset.endswith(f"/{self.images.name}") and self.images.is_file():
            return search.with_images(f"npz:{self.images.resolve()}")  # the folder may have been moved
        return search

    def write(self, document: SearchFile | ConfirmedFile | IncumbentFile | TrackingFile | FrontFile) -> None:
        """Writes search.json, confirmed.json, incumbent.json, tracking.json or front.json.

        Raises:
            OSError: If it cannot be written; the old file is then unchanged.
        """
        write_json(self.path / document.file_name, records.write(document))

    def read_confirmed(self) -> ConfirmedFile | None:
        """Reads ``confirmed.json``, None if there is none.

        Raises:
            UserError: If it is damaged or of another version.
        """
        if not self.confirmed_json.exists():
            return None
        return _read(self.confirmed_json, ConfirmedFile, confirmed_file.VERSION, "; nas.confirm rewrites it")

    def read_tracking(self) -> TrackingFile | None:
        """Reads ``tracking.json``; see :meth:`read_confirmed`."""
        if not self.tracking_json.exists():
            return None
        return _read(self.tracking_json, TrackingFile, tracking_file.VERSION, "; remove it to do without")

    def read_journal(self) -> Contents:
        """Reads the whole journal.

        Raises:
            UserError: If a line is damaged.
        """
        return journal.read(self.journal)

    @contextlib.contextmanager
    def lock(self, task: str = SEARCHING) -> Iterator[None]:
        """Locks the run for writing; the lock ends with the process, however it dies.

        Args:
            task: Purpose of the lock, in one word.

        Raises:
            UserError: If another process holds the lock.
        """
        watch = f"; watch it with: {typed('nas.status', self.path)}"
        with self.held(self.lock_file, task, watch, again="give the command again"):
            yield

    @contextlib.contextmanager
    def held(self, file: Path, what: str, advice: str = "", again: str = setting("resume")) -> Iterator[None]:
        """Holds a lock file inside the block, on behalf of ``what``.

        Raises:
            UserError: If another process holds it, followed by ``advice``; or see :meth:`written`.
        """
        with contextlib.ExitStack() as stack:
            try:
                with self.written(again):
                    stack.enter_context(locks.held(file, what))
            except locks.LockHeld as busy:
                holder = busy.holder or "another process"
                raise UserError(f"{self.path}: in use by {holder}{advice}") from None
            yield

    def is_locked(self) -> bool:
        """Whether a search runs on this folder, as seen from this machine."""
        holder = locks.holder(self.lock_file)
        return holder is not None and not holder.endswith(CONFIRMING)

    lock_file = _RunPath(".lock")
    """Lock file, held while the folder is written to and touched every few seconds."""

    @contextlib.contextmanager
    def written(self, again: str = setting("resume")) -> Iterator[None]:
        """Turns errors of the disk inside the block into a one-line error.

        Args:
            again: What to do once the disk can be written, for a search that is under way.

        Raises:
            UserError: If the disk is full or read-only, or belongs to another user.
        """
        try:
            yield
        except OSError as error:
            place = error.filename or self.path
            raise not_written(place, error, f"make it writable, then {again}", again) from error

    def sweep(self) -> None:
        """Removes unfinished files of killed sessions, which would add up over many kills.

        To be called with the lock held, before anything else writes to the folder.
        """
        old = self.path / ".smac.old"
        if old.is_dir() and not self.smac.exists():  # killed between removing the old and adding the new
            old.rename(self.smac)
        folders = (self.path, self.checkpoints, self.confirm_checkpoints, self.weights)
        half_made = [*(path for one in folders for path in one.glob(".*")), *self.checkpoints.glob("*.tmp")]
        for path in half_made:
            if path.name.startswith(".smac."):
                shutil.rmtree(path, ignore_errors=True)
            elif path.suffix in (".json", ".jsonl", ".tmp", ".pt", ".safetensors"):
                path.unlink(missing_ok=True)

    def replace_smac(self, write: Callable[[Path], None]) -> None:
        """Replaces the snapshot of the optimiser's files.

        Args:
            write: Called with an empty folder to fill.
        """
        staging = Path(tempfile.mkdtemp(prefix=".smac.", dir=self.path))
        old = self.path / ".smac.old"
        try:
            write(staging)
            staging.chmod(0o755)
            shutil.rmtree(old, ignore_errors=True)
            if self.smac.exists():
                self.smac.rename(old)
            staging.rename(self.smac)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)


def _read(path: Path, kind: type[T], version: int, otherwise: str = "") -> T:
    try:
        values = orjson.loads(path.read_bytes())
        found = values["format"]
        if found == version:
            return records.read(kind, values)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path}: not readable ({error}){otherwise}") from None
    raise UserError(f"{path}: of format {found!r}; this program reads {version}")


def _exists(path: Path) -> str:
    again, other = setting("resume", path), setting("name")
    return f"{path}: exists already; continue it with {again}, or take another {other}"
