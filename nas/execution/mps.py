"""NVIDIA's Multi-Process Service (MPS) for one run: processes use a GPU at the same time, not in turn.

https://docs.nvidia.com/deploy/mps. The daemon has a separate folder, and a guardian process ends the daemon
and removes the folder once the search has ended for any reason. A daemon that was already running is used
and never changed. This file imports the standard library only, because the guardian runs it as a script.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

CONTROL = "nvidia-cuda-mps-control"
PIPES = "CUDA_MPS_PIPE_DIRECTORY"
_LOGS = "CUDA_MPS_LOG_DIRECTORY"
_PREFIX = "smacnas-mps-"
_LOCK = "owner.lock"
_LONGEST = 80  # bytes of the folder's path: the path of a socket in it must stay under 108 (unix(7))
_ANSWER = 10.0  # seconds for an answer of the daemon
_QUIT = 5  # seconds that its servers have to end


class MpsUnavailable(Exception):
    """MPS is not available; the message says why in one line."""


class MpsDaemon:
    """A separate daemon that lives until :meth:`close` or the end of this process.

    Attributes:
        environment: Environment variables that make a process use the daemon.
    """

    def __init__(self, names: Sequence[str]) -> None:
        """Starts the daemon.

        Args:
            names: Its GPUs, named as :func:`nas.execution.gpus.visible` does.

        Raises:
            MpsUnavailable: If it does not start.
        """
        if shutil.which(CONTROL) is None:
            raise MpsUnavailable(f"{CONTROL} is not installed")
        end_stale()
        self._names = tuple(names)
        self._folder = _new_folder()
        self.environment = _variables(self._folder)
        self._lock = _claim(self._folder)
        self._guardian = subprocess.Popen(
            [sys.executable, "-I", __file__, str(self._folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # the search handles Ctrl-C
        )
        try:
            self._launch()
        except MpsUnavailable:
            self.close()
            raise

    @property
    def folder(self) -> Path:
        """Folder of its sockets and logs."""
        return self._folder

    def alive(self) -> bool:
        """Whether it answers."""
        return answers(self.environment)

    def restart(self) -> None:
        """Starts the daemon again after it died.

        Raises:
            MpsUnavailable: If it does not start; later processes then run without MPS.
        """
        _kill(self._folder)
        for path in self._folder.iterdir():
            if path.name != _LOCK:
                _remove(path)
        self._launch()

    def close(self) -> None:
        """Ends the daemon and waits for its end."""
        assert self._guardian.stdin is not None
        self._guardian.stdin.close()
        try:
            self._guardian.wait(_QUIT + 3 * _ANSWER)
        except subprocess.TimeoutExpired:
            self._guardian.kill()
            self._guardian.wait()
            end(self._folder)
        os.close(self._lock)

    def _launch(self) -> None:
        environment = {**os.environ, **self.environment}
        # The daemon renumbers the GPUs that it sees, so a number would mean another GPU to its clients.
        environment.pop("CUDA_VISIBLE_DEVICES", None)
        if all(name.startswith("GPU-") for name in self._names):
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(self._names)
        try:
            begun = subprocess.run(
                [CONTROL, "-d"],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=_ANSWER,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise MpsUnavailable(f"{CONTROL} -d: {_one_line(str(error))}") from None
        if begun.returncode != 0:
            raise MpsUnavailable(f"{CONTROL} -d: {_one_line(begun.stdout) or f'code {begun.returncode}'}")
        deadline = time.monotonic() + _ANSWER
        while not self.alive():
            if time.monotonic() > deadline:
                raise MpsUnavailable(f"the MPS daemon ended at once{self._last_words()}")
            time.sleep(0.1)

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            return f": {_one_line((self._folder / 'control.log').read_text(errors='replace'))}"
        return ""


def answers(environment: Mapping[str, str] | None = None) -> bool:
    """Whether a daemon answers where a program with these additional variables would look for one."""
    return _say("get_server_list", environment or {})


def end(folder: Path) -> None:
    """Ends the daemon of a folder, by force if necessary, and removes the folder."""
    if answers(variables := _variables(folder)):
        _say(f"quit -t {_QUIT}", variables)
        deadline = time.monotonic() + _QUIT + _ANSWER
        while next(_processes(folder), None) is not None and time.monotonic() < deadline:
            time.sleep(0.1)
    _kill(folder)
    _remove(folder)


def end_stale() -> None:
    """Ends the daemons of searches, and of their guardians, that were killed."""
    for place in _places():
        for folder in place.glob(f"{_PREFIX}*"):
            with contextlib.suppress(OSError):
                if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                    continue
                lock = _locked(folder)
                end(folder)
                os.close(lock)


def _places() -> list[Path]:
    usual = Path(tempfile.gettempdir())
    return list(dict.fromkeys([usual, Path("/tmp")]))


def _new_folder() -> Path:
    for place in _places():
        if len(os.fsencode(place / _PREFIX)) + 8 <= _LONGEST:
            try:
                return Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))  # for this user only
            except OSError:
                continue
    raise MpsUnavailable(f"no folder for temporary files with a path of at most {_LONGEST} bytes (TMPDIR)")


def _claim(folder: Path) -> int:
    """Locks a new folder before anyone can see it unlocked; the end of this process unlocks it."""
    new = folder / f"{_LOCK}.new"
    lock = os.open(new, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_EXCL, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    new.rename(folder / _LOCK)
    return lock


def _locked(folder: Path) -> int:
    """Takes the lock of another search's folder.

    Raises:
        OSError: If that search is alive, or the folder is not that of a daemon.
    """
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock


def _variables(folder: Path) -> dict[str, str]:
    return {PIPES: str(folder), _LOGS: str(folder)}


def _say(command: str, environment: Mapping[str, str]) -> bool:
    """Sends the daemon a command; returns False if there is no daemon."""
    try:
        said = subprocess.run(
            [CONTROL],
            input=f"{command}\n",
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=_ANSWER,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return said.returncode == 0


def _processes(folder: Path) -> Iterator[int]:
    """Finds the daemon and servers of a folder by their environment, which no other process has."""
    wanted = os.fsencode(f"{PIPES}={folder}")
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if path.stat().st_uid != os.getuid() or b"nvidia-cuda-mps" not in (path / "cmdline").read_bytes():
                continue
            if wanted in (path / "environ").read_bytes().split(b"\0"):
                yield int(path.name)


def _kill(folder: Path) -> None:
    for number in list(_processes(folder)):
        with contextlib.suppress(OSError):
            os.kill(number, signal.SIGKILL)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _one_line(text: str) -> str:
    lines = text.strip().splitlines()
    return " ".join(lines[-1].split())[:200] if lines else ""


def _guard(folder: Path) -> None:
    """Waits until the search closes this process's input or dies."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # sent to all processes of a job; the search must end first
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    sys.stdin.buffer.read()
    end(folder)


if __name__ == "__main__":
    _guard(Path(sys.argv[1]))
