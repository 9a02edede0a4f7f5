"""Storages of Optuna on disks and in databases: which of them a user names, and errors in one line."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from optuna.exceptions import OptunaError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from nas.util.errors import UserError, first_line, setting

if TYPE_CHECKING:
    from collections.abc import Iterator

_URL = re.compile(r"[a-z][a-z0-9+]*://")
_SQLITE = b"SQLite format 3\0"  # what such a file begins with (sqlite.org/fileformat2.html)
_SQLITE_NAMES = (".db", ".sqlite", ".sqlite3")


def is_url(given: str) -> bool:
    """Whether a storage is named by a URL, as SQLAlchemy takes it, rather than by a file."""
    return _URL.match(given) is not None


def shown(given: str) -> str:
    """A storage as it may be printed: without the password in its URL."""
    if not is_url(given):
        return given
    try:
        return make_url(given).render_as_string(hide_password=True)
    except ArgumentError:
        return given.partition("://")[0] + "://..."


@contextlib.contextmanager
def opened(given: str) -> Iterator[BaseStorage]:
    """Opens a storage, made if it is not there; whatever it refuses becomes one line.

    Args:
        given: A URL such as ``sqlite:///studies.db``, or a file: SQLite's if it is one or is called ``.db``,
            ``.sqlite`` or ``.sqlite3``, and Optuna's journal otherwise.

    Raises:
        UserError: If it cannot be had or is no storage of Optuna.
    """
    try:
        storage = _open(given)
        try:
            yield storage
        finally:
            if isinstance(storage, RDBStorage):
                storage.engine.dispose()
    except (OSError, SQLAlchemyError, OptunaError) as error:
        said = getattr(error, "orig", None) or error
        raise _refused(given, getattr(error, "strerror", None) or first_line(said)) from None


def _open(given: str) -> BaseStorage:
    try:
        if is_url(given):
            if given.startswith("sqlite") and make_url(given).database in (None, "", ":memory:"):
                raise ValueError("it is in memory only")
            return RDBStorage(given)
        path = Path(given)
        if _is_sqlite(path):
            return RDBStorage(f"sqlite:///{path.resolve()}")
        if not _may_be_journal(path):
            raise ValueError("it is no storage of Optuna")
        return JournalStorage(JournalFileBackend(str(path)))
    except (ImportError, RuntimeError, ValueError, KeyError, TypeError, AssertionError) as error:
        raise _refused(given, first_line(error)) from None  # a missing driver, another version, damage


def _is_sqlite(path: Path) -> bool:
    if path.exists() and path.stat().st_size:
        with path.open("rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    return path.suffix in _SQLITE_NAMES


def _may_be_journal(path: Path) -> bool:
    """Whether a file is new or begins as Optuna's journal does: it would write behind anything else."""
    if not path.exists() or not path.stat().st_size:
        return True
    with path.open("rb") as file, contextlib.suppress(ValueError):
        first = json.loads(file.readline())
        return isinstance(first, dict) and "op_code" in first
    return False


def _refused(given: str, why: str) -> UserError:
    return UserError(f"{shown(given)}: cannot be used ({why}); choose another with {setting('out')}")
