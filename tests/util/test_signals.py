"""Which signals end a command, on real terminals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nas.util import signals
from tests.terminals import on_terminal

# Counts wishes to end for as long as nothing but a file says so, and says what it was told.
COUNTING = """
import pathlib, sys, time
from nas.util import signals
told, folder = [], pathlib.Path(sys.argv[1])
with signals.handled(told.append):
    (folder / "ready").touch()
    end = time.monotonic() + 30
    while time.monotonic() < end and not (folder / "enough").exists():
        time.sleep(0.01)
        (folder / "new").write_text(" ".join(told))
        (folder / "new").rename(folder / "told")
"""
# Has nothing to wind down, but something to tidy up.
TIDYING = """
import pathlib, sys, time
from nas.util import cli
folder = pathlib.Path(sys.argv[1])
def main():
    try:
        (folder / "ready").touch()
        time.sleep(30)
    finally:
        (folder / "tidied").touch()
    return 0
cli.run(main, "prog")
"""


def wait_for(path: Path) -> None:
    end = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < end, f"{path} never came"
        time.sleep(0.01)


def told(folder: Path, count: int) -> list[str]:
    """What it has been told, once that is as much as is expected; a moment later, so that more is seen."""
    wait_for(folder / "told")
    end = time.monotonic() + 30
    while len((folder / "told").read_text().split()) < count and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(0.3)
    return (folder / "told").read_text().split()


def test_a_closed_terminal_is_a_wish_to_end(tmp_path: Path) -> None:
    with on_terminal(["-c", COUNTING, str(tmp_path)]) as terminal:
        wait_for(tmp_path / "ready")
        terminal.hang_up()
        assert told(tmp_path, 1) == ["terminated"]
        (tmp_path / "enough").touch()
        assert terminal.wait() == 0


@pytest.mark.parametrize("number", list(signals.ENDING), ids=lambda number: number.name)
def test_what_was_ignored_at_the_start_stays_ignored(tmp_path: Path, number: signal.Signals) -> None:
    with on_terminal(["-c", COUNTING, str(tmp_path)], ignoring=[number]) as terminal:
        wait_for(tmp_path / "ready")
        os.kill(terminal.pid, number)
        assert told(tmp_path, 0) == []
        other = signal.SIGTERM if number != signal.SIGTERM else signal.SIGHUP
        os.kill(terminal.pid, other)
        assert told(tmp_path, 1) == ["terminated"]
        (tmp_path / "enough").touch()
        assert terminal.wait() == 0


def test_under_nohup_it_outlives_its_terminal(tmp_path: Path) -> None:
    with on_terminal(["-c", COUNTING, str(tmp_path)], ignoring=[signal.SIGHUP]) as terminal:
        wait_for(tmp_path / "ready")
        terminal.hang_up()
        assert told(tmp_path, 0) == []
        (tmp_path / "enough").touch()
        assert terminal.wait() == 0


def test_a_job_of_a_shell_script_is_not_ended_by_ctrl_c(tmp_path: Path) -> None:
    """POSIX: with job control off, ``&`` starts a command with SIGINT and SIGQUIT ignored."""
    script = f'{sys.executable} -c "$0" {tmp_path} & echo $! > {tmp_path}/pid; wait'
    process = subprocess.Popen(["sh", "-c", script, COUNTING], start_new_session=True)
    wait_for(tmp_path / "ready")
    child = int((tmp_path / "pid").read_text())
    os.kill(child, signal.SIGINT)
    assert told(tmp_path, 0) == []
    os.kill(child, signal.SIGTERM)
    assert told(tmp_path, 1) == ["terminated"]
    (tmp_path / "enough").touch()
    assert process.wait(30) == 0


def test_the_same_wish_sent_twice_at_once_counts_once_but_ctrl_c_every_time(tmp_path: Path) -> None:
    with on_terminal(["-c", COUNTING, str(tmp_path)]) as terminal:
        wait_for(tmp_path / "ready")
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGTERM):
            os.kill(terminal.pid, number)
            time.sleep(0.05)
        assert told(tmp_path, 1) == ["terminated"]
        time.sleep(1.0)
        os.kill(terminal.pid, signal.SIGTERM)
        time.sleep(0.1)
        for _ in range(2):
            os.kill(terminal.pid, signal.SIGINT)
            time.sleep(0.1)
        assert told(tmp_path, 4) == ["terminated", "terminated", "interrupted", "interrupted"]
        (tmp_path / "enough").touch()
        assert terminal.wait() == 0


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 143), (signal.SIGINT, 130)], ids=str
)
def test_a_command_without_an_end_of_its_own_tidies_up(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    process = subprocess.Popen([sys.executable, "-c", TIDYING, str(tmp_path)], stderr=subprocess.PIPE)
    wait_for(tmp_path / "ready")
    process.send_signal(number)
    assert process.wait(30) == code
    assert process.stderr is not None
    assert process.stderr.read() == b""
    assert (tmp_path / "tidied").exists()


def test_handlers_are_put_back() -> None:
    before = {number: signal.getsignal(number) for number in signals.ENDING}
    with signals.as_exceptions(), signals.handled(lambda _: None):
        assert signal.getsignal(signal.SIGTERM) != before[signal.SIGTERM]
    assert {number: signal.getsignal(number) for number in signals.ENDING} == before


def test_a_trial_process_leaves_the_end_to_the_search() -> None:
    """A terminal, systemd and batch systems send their signals to all processes of a search."""
    script = "import os, signal; from nas.util import signals; signals.ignore_ending()\n"
    script += "for number in signals.ENDING: os.kill(os.getpid(), number)"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0
