"""Locks that end with the process that holds them, also on file systems without locks.

They use ``flock`` where it works. Some network and cluster file systems refuse it (ENOLCK, ENOSYS,
EOPNOTSUPP). There a lock file takes its place, which names the holder and is touched as a sign of life. Its
holder counts as dead if its process is known to be gone, or has not touched the file for ten minutes.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import secrets
import signal
import socket
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BEAT = 5.0  # seconds between signs of life
_LOOK = 0.05  # seconds between two tries
_STALE = 600.0  # seconds without one, by the file system's own clock
_TAKING_OVER = 60.0  # seconds to replace a dead holder's file, before that process counts as dead, too
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}


class LockHeld(Exception):
    """Another process holds the lock.

    Attributes:
        holder: Description of its holder, "" if unknown.
    """

    def __init__(self, holder: str) -> None:
        self.holder = holder
        super().__init__(f"held by {holder or 'another process'}")


@contextlib.contextmanager
def held(path: Path, what: str, mode: int = 0o644, *, looks: int = 3) -> Iterator[None]:
    """Holds a lock inside the block; it ends with the process, however that dies.

    Args:
        path: The lock's file, touched as long as the lock is held.
        what: Purpose in one word, shown to others.
        mode: Permissions of a new file.
        looks: Number of tries, since asking for the holder takes the lock for a moment.

    Raises:
        LockHeld: If another process has it.
        OSError: If the file cannot be written.
    """
    me = f"process {os.getpid()} on {socket.gethostname()}, {what}"
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, file)
        substitute = _Substitute(path)
        while (got := _flock(file, fcntl.LOCK_EX)) is False and (looks := looks - 1) > 0:
            time.sleep(_LOOK)
        if got is None:
            print(
                f"note: {path.parent}: no locks on this file system (flock); {substitute.path.name} "
                "takes their place",
                file=sys.stderr,
                flush=True,
            )
            stack.enter_context(substitute.held(me))
        elif not got:
            raise LockHeld(_said(file))
        elif (other := substitute.holder()) is not None:  # held from a machine without locks on this folder
            raise LockHeld(other)
        os.ftruncate(file, 0)
        os.pwrite(file, me.encode(), 0)
        stack.enter_context(_beating(lambda: os.utime(path)))
        yield


def holder(path: Path) -> str | None:
    """Returns a description of a lock's holder, None if it is free, "" if the holder is unknown."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # never made
        return None
    try:
        return _said(file) if _flock(file, fcntl.LOCK_SH) is False else _Substitute(path).holder()
    finally:
        os.close(file)


def _flock(file: int, kind: int) -> bool | None:
    """Tries to lock an open file until it is closed; None if the file system has no locks."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return None
    return True


def _said(file: int) -> str:
    return os.pread(file, 200, 0).decode(errors="replace").strip()


@contextlib.contextmanager
def _beating(beat: Callable[[], None]) -> Iterator[None]:
    """Calls a function every few seconds while this process is alive and not stopped."""
    over = threading.Event()

    def go_on() -> None:
        while not over.wait(BEAT):
            with contextlib.suppress(OSError):  # a full or read-only disk
                beat()

    thread = threading.Thread(target=go_on, name="beat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@dataclass(frozen=True)
class _Mark:
    """The content of a lock file: the process that holds it."""

    who: str
    host: str
    boot: str
    pids: str
    pid: int
    started: str
    token: str

    @classmethod
    def mine(cls, who: str) -> _Mark:
        """This process's."""
        pid = os.getpid()
        return cls(who, socket.gethostname(), *_here(), pid, _started(pid), secrets.token_hex(8))

    @classmethod
    def read(cls, path: Path) -> _Mark:
        """Reads a lock file; the fields are empty if it is half-written or of another kind.

        Raises:
            FileNotFoundError: If there is no file.
        """
        try:
            return cls(**json.loads(path.read_bytes()))
        except (ValueError, TypeError):
            return cls("", "", "", "", 0, "", "")

    def lives(self) -> bool | None:
        """Whether the process is alive; None if that cannot be known from here."""
        boot, pids = _here()
        if self.host != socket.gethostname() or not self.pid:
            return None
        if self.boot != boot:
            return False
        return _started(self.pid) == self.started if self.pids == pids else None


class _Substitute:
    """A lock file for file systems without locks."""

    def __init__(self, lock: Path) -> None:
        self.path = lock.with_name(f"{lock.name}.held")

    def holder(self) -> str | None:
        """Returns a description of its holder; None if there is none alive."""
        try:
            mark = _Mark.read(self.path)
            lives = mark.lives()
            return mark.who if lives or (lives is None and _age(self.path) < _STALE) else None
        except FileNotFoundError:
            return None

    @contextlib.contextmanager
    def held(self, who: str) -> Iterator[None]:
        """Holds the lock inside the block.

        Raises:
            LockHeld: If another process does.
        """
        mark = _Mark.mine(who)
        if not self._make(mark):
            self._take_over(mark)
        try:
            with _beating(lambda: self._defend(mark)):
                yield
        finally:
            with contextlib.suppress(OSError):
                if _Mark.read(self.path) == mark:
                    self.path.unlink()

    def _defend(self, mark: _Mark) -> None:
        """Touches the file; ends this process if another took over during a long suspension."""
        if _Mark.read(self.path) == mark:
            os.utime(self.path)
        else:
            os.kill(os.getpid(), signal.SIGTERM)

    def _make(self, mark: _Mark) -> bool:
        try:
            file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except FileExistsError:
            return False
        try:
            os.write(file, json.dumps(asdict(mark)).encode())
        finally:
            os.close(file)
        return True

    def _take_over(self, mark: _Mark) -> None:
        """Replaces a dead process's file, one process at a time, so that none removes a living one's."""
        turn = self.path.with_name(f"{self.path.name}.turn")
        try:
            turn.mkdir()
        except FileExistsError:
            with contextlib.suppress(OSError):
                if _age(turn) > _TAKING_OVER:
                    turn.rmdir()  # for the next process
            raise LockHeld(self.holder() or "") from None
        try:
            living = self.holder()
            if living is not None:
                raise LockHeld(living)
            self.path.unlink(missing_ok=True)
            if not self._make(mark):  # another process came while there was no file
                raise LockHeld(self.holder() or "")
        finally:
            turn.rmdir()


def _age(path: Path) -> float:
    """Returns the seconds since a file changed by its file system's clock, which may be a server's."""
    probe = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        probe.touch()
        now = probe.stat().st_mtime
    except OSError:  # a read-only folder
        now = time.time()
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)
    return now - path.stat().st_mtime


def _here() -> tuple[str, str]:
    """Identifies this start of the machine and this namespace of process ids (as in containers)."""
    boot = pids = ""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    with contextlib.suppress(OSError):
        pids = os.readlink("/proc/self/ns/pid")
    return boot, pids


def _started(pid: int) -> str:
    """Returns when a process started, in ticks since boot; "" if there is no such process."""
    try:
        # See proc(5): field 22; the name in brackets may contain anything.
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        pass
    try:
        os.kill(pid, 0)
    except PermissionError:
        return "?"
    except (OSError, OverflowError):
        return ""
    return "?"
