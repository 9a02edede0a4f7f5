"""Locks, with and without the file system's help."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nas.execution import gpus
from nas.run.folder import Run
from nas.util import locks
from nas.util.errors import UserError

NO_LOCKS = [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP]

# Holds a lock until its input ends; as a preload, flock fails in it with the error given.
HOLDING = """
import fcntl, sys
from pathlib import Path
from nas.util import locks
def flock(file, kind): raise OSError(int(sys.argv[2]), "no locks here")
if int(sys.argv[2]): fcntl.flock = flock
with locks.held(Path(sys.argv[1]), "searching"):
    print("held", flush=True)
    sys.stdin.read()
"""


def holding(path: Path, error: int) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDING, str(path), str(error)],
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


@pytest.fixture(params=[0, *NO_LOCKS], ids=lambda number: errno.errorcode.get(number, "flock"))
def error(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """The error that flock gives, 0 for none."""
    number: int = request.param
    if number:
        lockless(monkeypatch, number)
    return number


def lockless(monkeypatch: pytest.MonkeyPatch, number: int = errno.ENOLCK) -> None:
    def flock(file: int, kind: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)


def rewritten(path: Path, **changes: object) -> None:
    held = path.with_name(f"{path.name}.held")
    held.write_text(json.dumps({**json.loads(held.read_bytes()), **changes}))


def aged(path: Path, seconds: float) -> None:
    moment = time.time() - seconds
    os.utime(path.with_name(f"{path.name}.held"), (moment, moment))


def test_one_process_at_a_time_and_the_others_are_told_who(tmp_path: Path, error: int) -> None:
    path = tmp_path / ".lock"
    assert locks.holder(path) is None
    process = holding(path, error)
    who = f"process {process.pid} on "
    assert (locks.holder(path) or "").startswith(who)
    with pytest.raises(locks.LockHeld) as busy, locks.held(path, "confirming"):
        pass
    assert busy.value.holder.startswith(who)
    assert busy.value.holder.endswith(", searching")
    process.communicate(timeout=30)
    assert locks.holder(path) is None
    with locks.held(path, "confirming"):
        assert (locks.holder(path) or "").endswith("confirming")
    assert [name.name for name in tmp_path.iterdir()] == [".lock"]


def test_it_ends_with_a_process_that_is_killed(tmp_path: Path, error: int) -> None:
    path = tmp_path / ".lock"
    process = holding(path, error)
    process.send_signal(signal.SIGKILL)
    process.wait(30)
    assert locks.holder(path) is None
    with locks.held(path, "searching"):
        assert f"process {os.getpid()} on " in (locks.holder(path) or "")
    assert [name.name for name in tmp_path.iterdir()] == [".lock"]


def test_one_note_says_that_there_are_no_locks(
    tmp_path: Path, error: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with locks.held(tmp_path / ".lock", "searching"):
        locks.holder(tmp_path / ".lock")
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == (1 if error else 0)
    assert (f"{tmp_path}: no locks on this file system" in said.err) == bool(error)


def test_another_error_is_none_of_these(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lockless(monkeypatch, errno.EIO)
    with pytest.raises(OSError, match="Input/output"), locks.held(tmp_path / ".lock", "searching"):
        pass


@pytest.mark.parametrize(
    ("changes", "silent", "free"),
    [
        ({"pid": 2**22 + 1}, 0, True),  # a process that is gone
        ({"started": "1"}, 0, True),  # its number was given to another one
        ({"boot": "another"}, 0, True),  # the machine was started anew
        ({"pids": "pid:[1]", "pid": 2**22 + 1}, 0, False),  # in a container: not to be seen from here
        ({"host": "elsewhere"}, 0, False),
        ({"host": "elsewhere"}, 590, False),
        ({"host": "elsewhere"}, 610, True),
        ({}, 10_000, False),  # it stands still, suspended, but lives
        (
            {"who": "process 7 on elsewhere, confirming", "host": "elsewhere"},
            -7200,
            False,
        ),  # its clock is ahead
    ],
)
def test_whose_process_is_dead_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], silent: float, free: bool
) -> None:
    lockless(monkeypatch)
    path = tmp_path / ".lock"
    process = holding(path, errno.ENOLCK)
    os.kill(process.pid, signal.SIGSTOP)  # so that it gives no sign of life
    rewritten(path, **changes)
    aged(path, silent)
    assert (locks.holder(path) is None) == free
    if free:
        with locks.held(path, "searching"):
            assert f"process {os.getpid()} on" in (locks.holder(path) or "")
    else:
        with pytest.raises(locks.LockHeld), locks.held(path, "searching"):
            pass
    process.kill()
    process.wait(30)


def test_a_half_written_lock_is_somebodys_for_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lockless(monkeypatch)
    path = tmp_path / ".lock"
    path.touch()
    (tmp_path / ".lock.held").write_text('{"who": "proc')
    with pytest.raises(locks.LockHeld), locks.held(path, "searching"):
        pass
    aged(path, 700)
    with locks.held(path, "searching"):
        pass


def test_only_one_of_many_takes_a_dead_ones_place(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    process = holding(path, errno.ENOLCK)
    process.kill()
    process.wait(30)
    script = HOLDING.replace("sys.stdin.read()", "import time; time.sleep(3)")
    command = [sys.executable, "-c", script, str(path), str(errno.ENOLCK)]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) for _ in range(4)]
    said = [one.communicate(timeout=60)[0] for one in both]
    assert said.count(b"held\n") == 1


def test_a_search_that_was_replaced_while_it_stood_still_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lockless(monkeypatch)
    monkeypatch.setattr(locks, "BEAT", 0.05)
    told: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: told.append(number))
    try:
        with locks.held(tmp_path / ".lock", "searching"):
            rewritten(tmp_path / ".lock", token="another's")
            time.sleep(0.5)
        assert told
        assert (tmp_path / ".lock.held").exists()  # it is not ours to remove
    finally:
        signal.signal(signal.SIGTERM, before)


def test_machines_with_and_without_locks_see_each_other(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    process = holding(path, errno.ENOLCK)
    with pytest.raises(locks.LockHeld), locks.held(path, "searching"):  # here flock works
        pass
    process.communicate(timeout=30)


def test_a_held_lock_is_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "BEAT", 0.05)
    path = tmp_path / ".lock"
    with locks.held(path, "searching"):
        os.utime(path, (1.0, 1.0))
        time.sleep(0.5)
        assert path.stat().st_mtime > 1.0


def test_a_run_folder_without_locks(simulate: Callable[..., object], monkeypatch: pytest.MonkeyPatch) -> None:
    simulation = simulate(trials=3)
    simulation.run()  # type: ignore[attr-defined]
    run = Run(simulation.path)  # type: ignore[attr-defined]
    lockless(monkeypatch)
    with run.lock():
        assert run.is_locked()
        with pytest.raises(UserError, match=r"in use by process \d+ on .*, searching"), run.lock():
            pass
    assert not run.is_locked()


def test_each_process_gets_a_gpu_of_its_own_without_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lockless(monkeypatch)
    claims = [gpus.claim(["a", "b"], tmp_path) for _ in range(3)]
    assert [claim.name for claim in claims] == ["a", "b", "a"]
    claims[1].release()
    assert gpus.claim(["a", "b"], tmp_path).name == "b"
